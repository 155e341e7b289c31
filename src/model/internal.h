/* SPDX-License-Identifier: Apache-2.0
 * internal.h - the steps of opening a model, shared by this room's files only. */
#ifndef SB_MODEL_INTERNAL_H
#define SB_MODEL_INTERNAL_H
#include "model/arch.h"

/* Reads every key of m->arch into m->hp and settles what keys leave out. */
sb_status sb_model_read_hparams(sb_model *m, sb_error *err) SB_MUST_USE;
/* Finds, checks and binds the tensors of m->arch. Needs hp and n_vocab. */
sb_status sb_model_bind(sb_model *m, sb_error *err) SB_MUST_USE;
/* Builds the tokenizer from tokenizer.ggml.* and sets hp.n_vocab. */
sb_status sb_model_read_vocab(sb_model *m, sb_error *err) SB_MUST_USE;
#endif
