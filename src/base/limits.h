/* SPDX-License-Identifier: Apache-2.0
 * limits.h - limits.def as constants SB_MAX_*; the table is their only home. */
#ifndef SB_BASE_LIMITS_H
#define SB_BASE_LIMITS_H
enum {
#define X(name, value, what) SB_##name = value,
#include "base/limits.def"
#undef X
};
#endif
