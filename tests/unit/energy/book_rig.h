/* SPDX-License-Identifier: Apache-2.0
 * book_rig.h - a machine with one counter, a home of its own, and a ledger's log on it. */
#ifndef SB_BOOK_RIG_H
#define SB_BOOK_RIG_H
#include "energy/ledger_log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>

typedef struct rig {
    char home[64], counter[256];
    sb_meter *meter;
    sb_ledger_log *log;
    uint64_t max_file_bytes;
    uint64_t uj;     /* what the counter shows */
    uint64_t sum_uj; /* what has been given to ticks and gaps since the meter was opened */
} rig;

void rig_init(rig *r);
/* Opens meter and log; start: writes the line of it. */
void rig_open(rig *r);
void rig_close(rig *r);
void rig_end(rig *r);
/* Sets the counter. */
void rig_count(rig *r, uint64_t uj);
/* A measured tick of all that the counter moved by: idle 10, owner's part, the rest other. */
void rig_tick(rig *r, uint64_t owner, int64_t part_uj, uint64_t more_uj);
void rig_estimate(rig *r, uint64_t owner, int64_t part_uj);
/* A receipt of one owner. */
sb_status rig_receipt(rig *r, const char *id, uint64_t owner, int64_t uj, sb_energy_source source,
                      sb_receipt_keys *keys, json_t **out);
sb_audit_result rig_audit(const rig *r);
/* The bytes of the file that is written; free() them. */
char *rig_read(const rig *r, size_t *out_n);
void rig_write(const rig *r, const char *p, size_t n);
void rig_path(const rig *r, const char *name, char out[256]);
#endif
