/* SPDX-License-Identifier: Apache-2.0
 * netmeter_fuzz.c - any bytes as the answer of a plug, an endpoint or a management controller. */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "energy/internal.h"
#include "energy/netmeter.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    char *text = malloc(n + 1);
    sb_net_reading r;
    uint64_t micro = 0;
    uint32_t watts = 0, period_ms = 0;
    if (!text) return 0;
    memcpy(text, data, n);
    text[n] = 0;
    if (sb_net_parse(text, &r) && !r.has_power && !r.has_total) abort();
    (void)sb_energy_parse_micro(text, text + n, 3600, &micro);
    (void)sb_dcmi_parse(data, n, &watts, &period_ms);
    free(text);
    return 0;
}
