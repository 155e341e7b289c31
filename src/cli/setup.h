/* SPDX-License-Identifier: Apache-2.0
 * setup.h - from options to what a model runs on: path, pool, engine options, prompt text.
 *
 * Ownership   As each function says. */
#ifndef SB_CLI_SETUP_H
#define SB_CLI_SETUP_H
#include "base/pool.h"
#include "chat/governor.h"
#include "cli/cli.h"
#include "energy/meter.h"
#include "engine/engine.h"

/* The meter of this machine, or under SOBRE_SYSFS_ROOT, with what was calibrated here. */
sb_status sb_cli_meter(sb_meter **out, sb_meter_roots *roots, sb_error *err) SB_MUST_USE;
/* Appends the path of the calibration's file. */
sb_status sb_cli_calibration_path(sb_buf *out, sb_error *err) SB_MUST_USE;
/* Appends the path of the model that `what` names. */
sb_status sb_cli_model_path(const char *what, sb_buf *out, sb_error *err) SB_MUST_USE;
/* Number of compute threads the options ask for. */
int sb_cli_threads(const sb_args *a);
/* A pool of that many; the caller frees it. */
sb_status sb_cli_pool(const sb_args *a, sb_pool **out, sb_error *err) SB_MUST_USE;
/* Engine options with one session; n_ctx and n_rows as given. */
sb_engine_opts sb_cli_engine_opts(const sb_args *a, int32_t n_ctx, int32_t n_rows);
/* The governor --governor auto asks for, or *out NULL; the file of its sweeps lies in the store. */
sb_status sb_cli_governor(const sb_args *a, sb_governor **out, sb_error *err) SB_MUST_USE;
bool sb_cli_wants_pack_cache(const sb_args *a);
/* The file of packed weights of model `what`, where --pack-cache or SOBRE_PACK_CACHE asks for it;
 * record: what was recorded of the model, borrowed by *o. */
sb_status sb_cli_pack_cache(const sb_args *a, const char *what, sb_buf *record, sb_engine_opts *o,
                            sb_error *err) SB_MUST_USE;
/* Says when there was no memory for a packed copy of the weights and nobody asked for none. */
void sb_cli_weights_note(const sb_args *a, const sb_engine *e);
/* Says what of a model's file is not used: bytes behind its data, tensors nobody knows. */
void sb_cli_model_notes(const sb_model *m);
/* The word, or all of standard input for "-". SB_INVALID when it is not UTF-8, naming the byte. */
sb_status sb_cli_read_text(const char *word, sb_buf *out, sb_error *err) SB_MUST_USE;
#endif
