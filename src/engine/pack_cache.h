/* SPDX-License-Identifier: Apache-2.0
 * pack_cache.h - the packed weights of a model in a file beside it, so that the second start does
 * not pack.
 *
 * Purpose     MODEL.gguf.packed holds the panels as the kernels read them. It is mapped, and a run
 *             of panels is looked at when a step first comes to it: no word is ever made of panels
 *             whose checksum was not right. A run that is damaged is packed again from the model,
 *             in memory, in the middle of the step. Float32 panels (exact mode) are not kept.
 * Format      A head, made from the model alone but for its sums, so reading it is comparing it:
 *             the fields of pack_head, then a pack_shard for each file of the model, a pack_weight
 *             for each weight, a sum for each run; then the runs, each on whole pages. Numbers as
 *             this machine has them.
 * Identity    Format and layout versions; size, time of change (ns), inode and device of each file;
 *             what was recorded when it was pulled. Anything else is packed again.
 * Trust       A symlink, a file of somebody else than this user or root, and one that others may
 *             write are not opened. Sums find damage, not malice: who may write here may as well
 *             change the model.
 * Writing     Into MODEL.gguf.packed.part, under a lock (a second start leaves it alone), flushed,
 *             then renamed. Never more than cache_max_bytes, and never the last 1/20 of the disk.
 * Changes     A file that is written to or cut short while it is mapped is given up at the end of
 *             that step: the step is computed again from weights packed anew.
 * Threads     _touch on the threads of a step; the rest on the engine's caller. */
#ifndef SB_ENGINE_PACK_CACHE_H
#define SB_ENGINE_PACK_CACHE_H
#include "engine/weights.h"

/* Sets e->cache and the panels of all matrices when there is a file that fits; notes why when there
 * is one that does not. */
void sb_pack_cache_open(sb_engine *e);
/* NULL is allowed. */
void sb_pack_cache_close(sb_pack_cache *c);
/* Writes the panels in memory. SB_CANCELLED when on_pack gives up; other troubles are noted. */
sb_status sb_pack_cache_write(const sb_engine *e, sb_error *err) SB_MUST_USE;
/* True when every run has been looked at. */
bool sb_pack_cache_all_seen(const sb_pack_cache *c);
/* Looks at the run that holds a panel of weight w; returns the first panel behind that run, at most
 * n_panel. What can be had neither from the cache nor from the model sets e->unread. */
int32_t sb_pack_cache_touch(sb_engine *e, int32_t w, int32_t panel);
/* After a step: notes damage. True when the file was changed meanwhile: the step must be run again,
 * and will be run without it. */
bool sb_pack_cache_settle(sb_engine *e);
#endif
