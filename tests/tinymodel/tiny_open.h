/* SPDX-License-Identifier: Apache-2.0
 * tiny_open.h - one tiny model for all tests of a program: cmocka's group setup and teardown.
 *
 * Use         cmocka_run_group_tests_name(name, tests, tiny_open, tiny_close), and tiny_opened.
 * Ownership   The model is tiny_close()'s, and so is its file, which bears the process's number. */
#ifndef SB_TESTS_TINY_OPEN_H
#define SB_TESTS_TINY_OPEN_H
#include "model/model.h"

extern sb_model *tiny_opened;
int tiny_open(void **state);
int tiny_close(void **state);
#endif
