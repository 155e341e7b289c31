/* SPDX-License-Identifier: Apache-2.0
 * receipt_kind.c - the one table of names, labels and digits. */
#include "energy/receipt_kind.h"

static const struct {
    const char *name, *label;
    int digits;
} kinds[SB_RECEIPT_KIND_COUNT] = {
    [SB_RECEIPT_NONE] = {"none", "unavailable", 1},
    [SB_RECEIPT_MODEL] = {"model", "estimated", 1},
    [SB_RECEIPT_CALIBRATED] = {"calibrated", "estimated", 2},
    [SB_RECEIPT_METER] = {"meter", "measured", 3},
};

sb_receipt_kind sb_receipt_kind_of(const sb_energy *e)
{
    switch (e->source) {
    case SB_ENERGY_MEASURED:
        return SB_RECEIPT_METER;
    case SB_ENERGY_ESTIMATED:
        return sb_meter_is_calibrated(e->method) ? SB_RECEIPT_CALIBRATED : SB_RECEIPT_MODEL;
    case SB_ENERGY_UNAVAILABLE:
    case SB_ENERGY_SOURCE_COUNT:
        break;
    }
    return SB_RECEIPT_NONE;
}

const char *sb_receipt_kind_name(sb_receipt_kind k)
{
    return kinds[k].name;
}

const char *sb_receipt_label(sb_receipt_kind k)
{
    return kinds[k].label;
}

int sb_receipt_digits(sb_receipt_kind k)
{
    return kinds[k].digits;
}
