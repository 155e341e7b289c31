/* SPDX-License-Identifier: Apache-2.0
 * grammar.c - the tables of states.def and edges.def. */
#include "output/grammar.h"

enum { KEEP, DROP };
enum { EAT, PEEK };
#define F(name) (1u << SB_OUTPUT_##name)
#define ALL (~0u)

static const sb_output_mode mode_of[SB_AT_COUNT] = {
#define X(name, mode) [SB_AT_##name] = SB_MODE_##mode,
#include "output/states.def"
#undef X
};

static const sb_output_edge edges[] = {
#define X(formats, from, literal, take, action, then, to)                                          \
    {(formats), SB_AT_##from, literal, take == PEEK, SB_ACT_##action, then == DROP, SB_AT_##to},
#include "output/edges.def"
#undef X
};

_Static_assert(SB_OUTPUT_FORMAT_COUNT <= 32, "a format is a bit of `formats`");

sb_output_mode sb_grammar_mode(sb_output_state at)
{
    return mode_of[at];
}

const sb_output_edge *sb_grammar_edges(size_t *n)
{
    *n = SB_ARRAY_LEN(edges);
    return edges;
}

bool sb_grammar_is_call(sb_output_state at)
{
    return at >= SB_AT_H_ARGS;
}
