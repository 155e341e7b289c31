/* SPDX-License-Identifier: Apache-2.0
 * checksum.h - a fast 64-bit sum that finds damage; no defence against somebody who means it.
 *
 * Purpose     Notices flipped bits, lost pages and swapped pieces at the speed of memory. Any
 *             change inside one 8-byte word is always found, others but for one in 2^64 or so.
 * Threads     Pure. */
#ifndef SB_BASE_CHECKSUM_H
#define SB_BASE_CHECKSUM_H
#include "base/base.h"

uint64_t sb_checksum(const void *p, size_t n);
#endif
