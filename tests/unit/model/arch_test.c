/* SPDX-License-Identifier: Apache-2.0
 * arch_test.c - every architecture of arch.def: keys out of range, tensors missing or misshapen,
 * scalings, and the steps its plan is made of.
 *
 * The rows G18 to G23 of the list of hostile files are checked for each of them. */
#include "model/arch.h"
#include "tiny.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
// cmocka wants the four above first
#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static const sb_arch *const archs[] = {
#define X(name) &sb_arch_##name,
#include "model/arch.def"
#undef X
};

static char path[96];

static int make_path(void **state)
{
    (void)state;
    (void)snprintf(path, sizeof path, "/tmp/sobre-arch-%d.gguf", (int)getpid());
    return 0;
}

static int drop_file(void **state)
{
    (void)state;
    (void)unlink(path);
    return 0;
}

/* Two layers, 4 heads of 16 on 2, 64 wide; gemma3 has a window of 8 (all but every sixth layer). */
static sb_status open_changed(const char *arch, const sb_tiny_change *c, size_t n_changes,
                              sb_model **out, sb_error *err)
{
    sb_tiny t;
    sb_tiny_defaults(&t);
    t.arch = arch, t.tied = false, t.changes = c, t.n_changes = n_changes;
    *out = NULL;
    if (sb_tiny_write(&t, path, err) != SB_OK) fail_msg("%s: %s", arch, err->msg);
    return sb_model_open(out, path, err);
}

/* The model with these changes does not open: the line names the file and `word`. */
static void refused(const char *arch, const sb_tiny_change *c, size_t n_changes, const char *word)
{
    sb_model *m = NULL;
    sb_error err = {0};
    const sb_status s = open_changed(arch, c, n_changes, &m, &err);
    if (s == SB_OK || m) fail_msg("%s: %s opened", arch, word);
    if (!strstr(err.msg, word)) fail_msg("%s: '%s' does not name '%s'", arch, err.msg, word);
}

static sb_model *opened(const char *arch, const sb_tiny_change *c, size_t n_changes)
{
    sb_model *m = NULL;
    sb_error err = {0};
    if (open_changed(arch, c, n_changes, &m, &err) != SB_OK) fail_msg("%s: %s", arch, err.msg);
    return m;
}

/* A key of some architecture that is an integer of `type`. */
#define INT(suffix, kind, v)                                                                       \
    {                                                                                              \
        .name = suffix, .to = SB_TINY_INT, .type = kind, .n = v                                    \
    }
#define REAL(suffix, v)                                                                            \
    {                                                                                              \
        .name = suffix, .to = SB_TINY_REAL, .type = SB_GGUF_F32, .real = v                         \
    }
#define TEXT(suffix, v)                                                                            \
    {                                                                                              \
        .name = suffix, .to = SB_TINY_TEXT, .text = v                                              \
    }

/* The change with its key's name as the architecture writes it. */
static sb_tiny_change named(const char *arch, const sb_tiny_change *c, char *name, size_t size)
{
    sb_tiny_change out = *c;
    (void)snprintf(name, size, "%s.%s", arch, c->name);
    out.name = name;
    return out;
}

static void keys_out_of_range_are_named(void **state)
{
    (void)state;
    static const sb_tiny_change bad[] = {
        INT("block_count", SB_GGUF_U32, 0), /* G18 */
        INT("block_count", SB_GGUF_U32, 1025),
        INT("block_count", SB_GGUF_U32, 0x80000000),
        INT("block_count", SB_GGUF_I32, -1),
        TEXT("block_count", "2"),
        REAL("block_count", 32.5),
        {.name = "block_count", .to = SB_TINY_DROP},
        INT("attention.head_count", SB_GGUF_U32, 0), /* G19 */
        INT("attention.head_count_kv", SB_GGUF_U32, 0),
        INT("attention.head_count_kv", SB_GGUF_U32, 3),
        INT("attention.head_count_kv", SB_GGUF_U32, 64),
        INT("embedding_length", SB_GGUF_U32, 0),
        INT("embedding_length", SB_GGUF_U32, 4095),
        INT("feed_forward_length", SB_GGUF_U32, 0),
        INT("rope.dimension_count", SB_GGUF_U32, 7), /* G20 */
        INT("rope.dimension_count", SB_GGUF_U32, 18),
        REAL("rope.freq_base", 0),
        REAL("rope.freq_base", -1),
        REAL("rope.freq_base", NAN),
        REAL("rope.freq_base", INFINITY),
        REAL("attention.layer_norm_rms_epsilon", 0),
        REAL("attention.layer_norm_rms_epsilon", NAN),
        REAL("attention.layer_norm_rms_epsilon", 1e30),
        {.name = "attention.layer_norm_rms_epsilon", .to = SB_TINY_DROP},
        INT("context_length", SB_GGUF_U32, 0),
        INT("attention.key_length", SB_GGUF_U32, 12),
        INT("attention.key_length", SB_GGUF_U32, 2048),
        INT("attention.value_length", SB_GGUF_U32, 8),
        INT("expert_count", SB_GGUF_U32, 1000000), /* G21 */
        INT("expert_count", SB_GGUF_U32, 8),
        REAL("rope.scaling.factor", 0),
        REAL("rope.scaling.factor", NAN),
        REAL("rope.scaling.factor", 1e9),
        REAL("rope.scaling.original_context_length", 0),
        REAL("rope.scaling.yarn_ext_factor", -1),
        REAL("rope.scaling.yarn_attn_factor", NAN),
        REAL("rope.scaling.yarn_beta_fast", 0),
        TEXT("rope.scaling.type", "longrope"),
        TEXT("rope.scaling.type", "dynamic"),
        TEXT("rope.scaling.type", "yarn2"),
        INT("rope.scaling.type", SB_GGUF_U32, 2),
    };
    for (size_t a = 0; a < SB_ARRAY_LEN(archs); a++)
        for (size_t i = 0; i < SB_ARRAY_LEN(bad); i++) {
            char name[96];
            const sb_tiny_change c = named(archs[a]->name, &bad[i], name, sizeof name);
            refused(archs[a]->name, &c, 1, name);
        }
}

/* 2^32 - 1 trained positions are no reason to refuse a file; what is offered is capped. */
static void a_context_without_end_is_capped(void **state)
{
    (void)state;
    for (size_t a = 0; a < SB_ARRAY_LEN(archs); a++) {
        char name[96];
        static const sb_tiny_change endless = INT("context_length", SB_GGUF_U32, 4294967295);
        const sb_tiny_change c = named(archs[a]->name, &endless, name, sizeof name);
        sb_model *m = opened(archs[a]->name, &c, 1);
        assert_int_equal(m->hp.n_ctx_train, INT32_MAX);
        sb_model_close(m);
    }
}

/* What the tensors of these tiny models are: rows of 64 unless said otherwise. */
static void tensor_name(const sb_arch_tensor *t, char *name, size_t size)
{
    static const char *const patterns[] = {
#define X(slot, layered, text) [SB_T_##slot] = text,
#include "model/tensors.def"
#undef X
    };
    const char *in_layer = strstr(patterns[t->slot], "%d");
    if (in_layer)
        (void)snprintf(name, size, "blk.1%s", in_layer + 2);
    else
        (void)snprintf(name, size, "%s", patterns[t->slot]);
}

/* G22: every tensor of every table, left out, of another length, transposed, in another format. */
static void tensors_missing_or_misshapen_are_named(void **state)
{
    (void)state;
    for (size_t a = 0; a < SB_ARRAY_LEN(archs); a++) {
        const char *arch = archs[a]->name;
        for (size_t i = 0; i < archs[a]->n_tensors; i++) {
            const sb_arch_tensor *t = &archs[a]->tensors[i];
            const bool is_vector = t->ne[1] == SB_DIM_NONE;
            char name[64];
            tensor_name(t, name, sizeof name);
            const sb_tiny_change bad[] = {
                {.name = name, .to = SB_TINY_DROP},
                {.name = name, .to = SB_TINY_TENSOR, .format = SB_F_F32, .ne = {96, 0}},
                {.name = name, .to = SB_TINY_TENSOR, .format = SB_F_F32, .ne = {96, 160}},
                {.name = name, .to = SB_TINY_TENSOR, .format = SB_F_F32, .ne = {512, 64}},
            };
            for (size_t c = t->required ? 0 : 1; c < SB_ARRAY_LEN(bad); c++)
                refused(arch, &bad[c], 1, name);
            if (!is_vector) continue;
            const int64_t n = t->ne[0] == SB_DIM_HEAD || t->ne[0] == SB_DIM_ROT_HALF ? 16
                              : t->ne[0] == SB_DIM_KV                                ? 32
                              : t->ne[0] == SB_DIM_FF                                ? 128
                                                                                     : 64;
            const sb_tiny_change half = {
                .name = name, .to = SB_TINY_TENSOR, .format = SB_F_F16, .ne = {n, 0}};
            refused(arch, &half, 1, name);
        }
    }
}

static void a_transposed_matrix_is_named(void **state)
{
    (void)state;
    for (size_t a = 0; a < SB_ARRAY_LEN(archs); a++) {
        const sb_tiny_change turned = {.name = "blk.0.ffn_down.weight",
                                       .to = SB_TINY_TENSOR,
                                       .format = SB_F_Q8_0,
                                       .ne = {64, 128}};
        refused(archs[a]->name, &turned, 1, "blk.0.ffn_down.weight': shape 64 x 128");
        const sb_tiny_change short_head = {
            .name = "output.weight", .to = SB_TINY_TENSOR, .format = SB_F_Q8_0, .ne = {64, 511}};
        refused(archs[a]->name, &short_head, 1,
                "output.weight': shape 64 x 511, expected 64 x 512");
        const sb_tiny_change norm = {
            .name = "blk.1.ffn_norm.weight", .to = SB_TINY_TENSOR, .format = SB_F_Q4_0, .ne = {64}};
        refused(archs[a]->name, &norm, 1, "blk.1.ffn_norm.weight': format Q4_0, expected F32");
    }
}

static void unknown_tensors_are_counted(void **state)
{
    (void)state;
    for (size_t a = 0; a < SB_ARRAY_LEN(archs); a++) {
        const sb_tiny_change more = {.name = "blk.0.visitor.weight",
                                     .to = SB_TINY_TENSOR,
                                     .format = SB_F_F32,
                                     .ne = {32, 3}};
        sb_model *m = opened(archs[a]->name, &more, 1);
        assert_int_equal(m->n_unbound, 1);
        sb_model_close(m);
        m = opened(archs[a]->name, NULL, 0);
        assert_int_equal(m->n_unbound, 0);
        sb_model_close(m);
    }
}

/* The letter of a step: Norm, Matmul, Heads' norm, Rope, Attend, Gate, Plus. */
static char letter(sb_op op)
{
    switch (op) {
    case SB_OP_EMBED:
        return 'E';
    case SB_OP_NORM:
        return 'N';
    case SB_OP_HEAD_NORM:
        return 'H';
    case SB_OP_MATMUL:
        return 'M';
    case SB_OP_ROPE:
        return 'R';
    case SB_OP_ATTEND:
        return 'A';
    case SB_OP_GATE:
        return 'G';
    case SB_OP_ADD:
        return 'P';
    case SB_OP_HEAD:
        return 'L';
    case SB_OP_COUNT:
        break;
    }
    return '?';
}

static void plans_are_those_of_the_papers(void **state)
{
    (void)state;
    static const struct {
        const char *arch, *steps; /* of two layers */
        sb_rope_layout layout;
        bool has_bias;
    } rows[] = {
        {"llama", "E NMRRAMPNMGMP NMRRAMPNMGMP NL", SB_ROPE_PAIRS, false},
        {"qwen2", "E NMRRAMPNMGMP NMRRAMPNMGMP NL", SB_ROPE_HALVES, true},
        {"smollm3", "E NMRRAMPNMGMP NMRRAMPNMGMP NL", SB_ROPE_PAIRS, false},
        {"qwen3", "E NMHHRRAMPNMGMP NMHHRRAMPNMGMP NL", SB_ROPE_HALVES, false},
        {"gemma3", "E NMHHRRAMNPNMGMNP NMHHRRAMNPNMGMNP NL", SB_ROPE_HALVES, false},
    };
    assert_int_equal(SB_ARRAY_LEN(rows), SB_ARRAY_LEN(archs));
    for (size_t a = 0; a < SB_ARRAY_LEN(rows); a++) {
        sb_model *m = opened(rows[a].arch, NULL, 0);
        const sb_plan *p = &m->plan;
        char steps[64] = "E";
        for (int32_t i = 1, at = 1; i < p->n_steps; i++) {
            if (p->steps[i].layer != p->steps[i - 1].layer) steps[at++] = ' ';
            steps[at++] = letter(p->steps[i].op);
        }
        assert_string_equal(steps, rows[a].steps);
        for (int i = 0; i < 3; i++) /* q, k, v */
            assert_int_equal(p->steps[2].b[i] >= 0, rows[a].has_bias);
        assert_int_equal(p->ropes[p->n_ropes - 1].layout, rows[a].layout);
        sb_model_close(m);
    }
}

/* Every fourth layer of SmolLM3 has no rope. */
static void a_layer_may_know_no_positions(void **state)
{
    (void)state;
    sb_tiny t;
    sb_error err = {0};
    sb_model *m = NULL;
    int n_ropes[8] = {0};
    sb_tiny_defaults(&t);
    t.arch = "smollm3", t.n_layers = 8;
    assert_int_equal(sb_tiny_write(&t, path, &err), SB_OK);
    if (sb_model_open(&m, path, &err) != SB_OK) fail_msg("%s", err.msg);
    for (int32_t i = 0; i < m->plan.n_steps; i++)
        if (m->plan.steps[i].op == SB_OP_ROPE) n_ropes[m->plan.steps[i].layer]++;
    for (int l = 0; l < 8; l++)
        assert_int_equal(n_ropes[l], l % 4 == 3 ? 0 : 2);
    sb_model_close(m);
}

/* Keys of a scaling, and what becomes of the second pair's frequency and of the amplitude. */
typedef struct scaling {
    const char *what;
    sb_tiny_change keys[5];
    size_t n_keys;
    double slower; /* plain frequency over the scaled one, last pair */
    double amplitude;
} scaling;

static void scalings_are_read_from_their_keys(void **state)
{
    (void)state;
    static const scaling rows[] = {
        {"no key", {{0}}, 0, 1, 1},
        {"a factor without a type is linear", {REAL("rope.scaling.factor", 4)}, 1, 4, 1},
        {"linear", {TEXT("rope.scaling.type", "linear"), REAL("rope.scaling.factor", 8)}, 2, 8, 1},
        {"none", {TEXT("rope.scaling.type", "none"), REAL("rope.scaling.factor", 8)}, 2, 1, 1},
        {"the old key", {REAL("rope.scale_linear", 2)}, 1, 2, 1},
        {"the new key before the old",
         {REAL("rope.scale_linear", 2), REAL("rope.scaling.factor", 4)},
         2,
         4,
         1},
        {"an amplitude alone", {REAL("rope.scaling.attn_factor", 1.5)}, 1, 1, 1.5},
        {"yarn",
         {TEXT("rope.scaling.type", "yarn"), REAL("rope.scaling.factor", 4),
          INT("rope.scaling.original_context_length", SB_GGUF_U32, 32)},
         3,
         4,
         1.1386294361},
        /* DeepSeek-R1-0528-Qwen3-8B: this factor undoes YaRN's own amplitude */
        {"yarn with a factor of its own",
         {TEXT("rope.scaling.type", "yarn"), REAL("rope.scaling.factor", 4),
          INT("rope.scaling.original_context_length", SB_GGUF_U32, 32),
          REAL("rope.scaling.yarn_attn_factor", 0.8782488562869419)},
         4,
         4,
         1},
        {"yarn that extrapolates nothing",
         {TEXT("rope.scaling.type", "yarn"), REAL("rope.scaling.factor", 4),
          REAL("rope.scaling.yarn_ext_factor", 0)},
         3,
         4,
         1},
    };
    for (size_t a = 0; a < SB_ARRAY_LEN(archs); a++)
        for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
            sb_tiny_change c[SB_ARRAY_LEN(rows[0].keys)];
            char names[SB_ARRAY_LEN(rows[0].keys)][96];
            for (size_t k = 0; k < rows[i].n_keys; k++)
                c[k] = named(archs[a]->name, &rows[i].keys[k], names[k], sizeof names[k]);
            sb_model *m = opened(archs[a]->name, c, rows[i].n_keys);
            const sb_rope *r = &m->plan.ropes[m->plan.n_ropes - 1];
            const int32_t last = r->n_pair - 1;
            const double plain = pow((double)m->hp.rope_base, -2.0 * last / (2.0 * r->n_pair));
            if (fabs(plain / (double)r->inv_freq[last] / rows[i].slower - 1) > 1e-5 ||
                fabs((double)r->amplitude - rows[i].amplitude) > 1e-6)
                fail_msg("%s: %s: %g times slower, amplitude %g", archs[a]->name, rows[i].what,
                         plain / (double)r->inv_freq[last], (double)r->amplitude);
            sb_model_close(m);
        }
}

/* Llama 3's table divides; a divisor that is no positive number is refused. */
static void divisors_of_a_rope_are_checked(void **state)
{
    (void)state;
    const sb_tiny_change half[] = {
        {.name = "rope_freqs.weight", .to = SB_TINY_TENSOR, .format = SB_F_F32, .ne = {8, 0}}};
    refused("llama", half, 1, "divisor"); /* random around 0 */
}

/* Biases beyond those a family needs are used, not passed over. */
static void optional_biases_are_bound(void **state)
{
    (void)state;
    static const struct {
        const char *arch, *name;
        int64_t n;
    } rows[] = {
        {"llama", "blk.0.attn_q.bias", 64},      {"llama", "blk.1.ffn_down.bias", 64},
        {"qwen2", "blk.0.attn_output.bias", 64}, {"qwen3", "blk.1.attn_v.bias", 32},
        {"smollm3", "blk.1.ffn_up.bias", 128},
    };
    for (size_t i = 0; i < SB_ARRAY_LEN(rows); i++) {
        const sb_tiny_change bias = {
            .name = rows[i].name, .to = SB_TINY_TENSOR, .format = SB_F_F32, .ne = {rows[i].n, 0}};
        sb_model *m = opened(rows[i].arch, &bias, 1);
        int n_biases = 0;
        for (int32_t s = 0; s < m->plan.n_steps; s++)
            for (int b = 0; b < 3; b++) {
                const int32_t w = m->plan.steps[s].b[b];
                n_biases +=
                    w >= 0 && memcmp(m->weights[w].name.p, bias.name, strlen(bias.name)) == 0;
            }
        assert_int_equal(n_biases, 1);
        sb_model_close(m);
    }
}

/* G23: a scale that is not a number, in the first or the last block of a tensor, is found by name;
 * what the engine says of it is tested there. */
static void numbers_that_are_none_are_found(void **state)
{
    (void)state;
    static const struct {
        const char *arch, *name;
    } rows[] = {
        {"qwen2", "blk.0.attn_k.bias"},        {"qwen2", "blk.1.attn_q.weight"},
        {"qwen3", "blk.1.attn_q_norm.weight"}, {"qwen3", "output.weight"},
        {"smollm3", "token_embd.weight"},      {"llama", "blk.1.ffn_down.weight"},
    };
    for (size_t i = 0; i < 2 * SB_ARRAY_LEN(rows); i++) {
        sb_model *m = opened(rows[i / 2].arch, NULL, 0);
        assert_null(sb_model_find_broken(m));
        const sb_gguf_tensor *t = sb_gguf_tensor_find(m->gguf, rows[i / 2].name);
        assert_non_null(t);
        const size_t block = (size_t)sb_format_get(t->format)->block_bytes;
        const uint64_t at = t->offset + (i % 2 ? t->bytes - block : 0);
        sb_model_close(m);
        FILE *f = fopen(path, "r+b");
        assert_non_null(f);
        assert_int_equal(fseek(f, (long)at, SEEK_SET), 0);
        assert_int_equal(fwrite("\xff\xff\xff\xff", 1, 4, f), 4);
        (void)fclose(f);
        assert_int_equal(sb_model_open(&m, path, NULL), SB_OK);
        const sb_weight *w = sb_model_find_broken(m);
        if (!w || w->name.n != strlen(rows[i / 2].name) ||
            memcmp(w->name.p, rows[i / 2].name, w->name.n) != 0)
            fail_msg("%s: %s", rows[i / 2].name, w ? w->name.p : "nothing found");
        sb_model_close(m);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_out_of_range_are_named),
        cmocka_unit_test(a_context_without_end_is_capped),
        cmocka_unit_test(tensors_missing_or_misshapen_are_named),
        cmocka_unit_test(a_transposed_matrix_is_named),
        cmocka_unit_test(unknown_tensors_are_counted),
        cmocka_unit_test(plans_are_those_of_the_papers),
        cmocka_unit_test(a_layer_may_know_no_positions),
        cmocka_unit_test(scalings_are_read_from_their_keys),
        cmocka_unit_test(divisors_of_a_rope_are_checked),
        cmocka_unit_test(optional_biases_are_bound),
        cmocka_unit_test(numbers_that_are_none_are_found),
    };
    return cmocka_run_group_tests(tests, make_path, drop_file);
}
