/* SPDX-License-Identifier: Apache-2.0
 * gather.h - filters over lists; called by filters.c only. Arguments and result as any filter's. */
#ifndef SB_TEMPLATE_GATHER_H
#define SB_TEMPLATE_GATHER_H
#include "template/tpl.h"

sb_status sb_gather_first(sb_run *r, sb_val v, const sb_args *a, sb_val *out);
sb_status sb_gather_last(sb_run *r, sb_val v, const sb_args *a, sb_val *out);
sb_status sb_gather_list(sb_run *r, sb_val v, const sb_args *a, sb_val *out);
sb_status sb_gather_items(sb_run *r, sb_val v, const sb_args *a, sb_val *out);
sb_status sb_gather_join(sb_run *r, sb_val v, const sb_args *a, sb_val *out);
sb_status sb_gather_reverse(sb_run *r, sb_val v, const sb_args *a, sb_val *out);
sb_status sb_gather_dictsort(sb_run *r, sb_val v, const sb_args *a, sb_val *out);
sb_status sb_gather_sort(sb_run *r, sb_val v, const sb_args *a, sb_val *out);
sb_status sb_gather_unique(sb_run *r, sb_val v, const sb_args *a, sb_val *out);
sb_status sb_gather_sum(sb_run *r, sb_val v, const sb_args *a, sb_val *out);
sb_status sb_gather_min(sb_run *r, sb_val v, const sb_args *a, sb_val *out);
sb_status sb_gather_max(sb_run *r, sb_val v, const sb_args *a, sb_val *out);
sb_status sb_gather_map(sb_run *r, sb_val v, const sb_args *a, sb_val *out);
sb_status sb_gather_select(sb_run *r, sb_val v, const sb_args *a, sb_val *out);
sb_status sb_gather_reject(sb_run *r, sb_val v, const sb_args *a, sb_val *out);
sb_status sb_gather_selectattr(sb_run *r, sb_val v, const sb_args *a, sb_val *out);
sb_status sb_gather_rejectattr(sb_run *r, sb_val v, const sb_args *a, sb_val *out);
/* The pairs of a dict as tuples, in order; nothing for undefined. */
sb_status sb_gather_pairs(sb_run *r, sb_val v, sb_list **out);
#endif
