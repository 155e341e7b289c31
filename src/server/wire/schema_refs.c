/* SPDX-License-Identifier: Apache-2.0
 * schema_refs.c - whether the $ref of a schema lead in a circle.
 *
 * Every place that is referred to is a node, and the references below it are its edges. Places nest
 * at most as deep as the JSON does, so all their subtrees together are read in linear time. */
#include "base/alloc.h"
#include "base/limits.h"
#include "server/wire/dialog.h"

#include <string.h>

typedef struct node {
    const json_t *place;
} node;

typedef struct refs {
    const json_t *root;
    json_t *index; /* reference to its node's number */
    node *nodes;   /* [n] */
    size_t n;
    uint64_t *edges; /* [n][words] bits, while edges are noted; else NULL */
    size_t i_node, words;
    size_t n_seen; /* references met in the first walk, those of earlier tools included */
    const char *why;
    bool no_memory;
} refs;

/* One step of a pointer: "~1" is '/', "~0" is '~'. */
static const json_t *step(const json_t *at, const char *p, size_t n)
{
    char name[SB_MAX_TOOL_NAME_BYTES];
    size_t len = 0, index = 0;
    for (size_t i = 0; i < n && len + 1 < sizeof name; i++) {
        const bool escape = p[i] == '~' && i + 1 < n && (p[i + 1] == '0' || p[i + 1] == '1');
        name[len++] = escape ? (p[i + 1] == '1' ? '/' : '~') : p[i];
        i += escape;
    }
    name[len] = 0;
    if (!json_is_array(at)) return json_object_get(at, name);
    for (size_t i = 0; i < len && i < 9; i++) {
        if (name[i] < '0' || name[i] > '9') return NULL;
        index = 10 * index + (size_t)(name[i] - '0');
    }
    return json_array_get(at, index);
}

static const json_t *resolve(const json_t *root, const char *ref)
{
    const json_t *at = root;
    const char *p = ref + 1;
    while (at && *p == '/') {
        const size_t n = strcspn(++p, "/");
        at = step(at, p, n);
        p += n;
    }
    return *p ? NULL : at;
}

/* A new node for a reference that was not met before. */
static void add_node(refs *r, const char *ref)
{
    const json_t *place = ref[0] == '#' ? resolve(r->root, ref) : NULL;
    if (!place) {
        r->why = ref[0] == '#' ? "a $ref leads nowhere" : "a $ref that leads elsewhere";
        return;
    }
    r->no_memory = json_object_set_new(r->index, ref, json_integer((json_int_t)r->n)) != 0;
    if (!r->no_memory) r->nodes[r->n++].place = place;
}

static void meet(refs *r, const char *ref)
{
    const json_t *known = json_object_get(r->index, ref);
    if (r->edges) {
        const size_t i = (size_t)json_integer_value(known);
        r->edges[r->i_node * r->words + i / 64] |= UINT64_C(1) << (i % 64);
        return;
    }
    if (r->n_seen++ >= SB_MAX_TOOL_REFS)
        r->why = "too many $ref";
    else if (!known)
        add_node(r, ref);
}

/* Meets every $ref at and below v. Depth is bounded by the reader of the JSON. */
static void walk(refs *r, const json_t *v)
{
    if (r->why || r->no_memory) return;
    if (json_is_array(v))
        for (size_t i = 0; i < json_array_size(v); i++)
            walk(r, json_array_get(v, i));
    if (!json_is_object(v)) return;
    json_t *o = (json_t *)v;
    for (void *i = json_object_iter(o); i; i = json_object_iter_next(o, i)) {
        const json_t *m = json_object_iter_value(i);
        if (strcmp(json_object_iter_key(i), "$ref") == 0 && json_is_string(m))
            meet(r, json_string_value(m));
        else
            walk(r, m);
    }
}

enum { WHITE, GREY, BLACK };

/* Follows the edges depth first. path, at: [n], where the way leads and how far each was read. */
static bool has_circle(const refs *r, unsigned char *colour, size_t *path, size_t *at)
{
    for (size_t first = 0; first < r->n; first++) {
        size_t depth = 0;
        if (colour[first] != WHITE) continue;
        path[depth++] = first;
        at[first] = 0;
        colour[first] = GREY;
        while (depth) {
            const size_t i = path[depth - 1], k = at[i]++;
            if (k == r->n) {
                colour[i] = BLACK;
                depth--;
                continue;
            }
            if (!(r->edges[i * r->words + k / 64] >> (k % 64) & 1)) continue;
            if (colour[k] == GREY) return true;
            if (colour[k] == BLACK) continue;
            path[depth++] = k;
            at[k] = 0;
            colour[k] = GREY;
        }
    }
    return false;
}

static void find_circle(refs *r)
{
    r->words = (r->n + 63) / 64;
    r->edges = sb_calloc(r->n * r->words, sizeof *r->edges);
    unsigned char *colour = sb_calloc(r->n, 1);
    size_t *ways = sb_calloc(2 * r->n, sizeof *ways);
    r->no_memory = !r->edges || !colour || !ways;
    for (r->i_node = 0; !r->no_memory && r->i_node < r->n; r->i_node++)
        walk(r, r->nodes[r->i_node].place);
    if (!r->no_memory && has_circle(r, colour, ways, ways + r->n))
        r->why = "its $ref go in a circle";
    sb_free(ways);
    sb_free(colour);
    sb_free(r->edges);
}

sb_status sb_schema_refs(const json_t *schema, size_t *io_n, const char **out_why, sb_error *err)
{
    refs r = {.root = schema, .n_seen = *io_n, .index = json_object()};
    r.nodes = sb_alloc(SB_MAX_TOOL_REFS, sizeof *r.nodes);
    r.no_memory = !r.index || !r.nodes;
    walk(&r, schema);
    if (!r.why && !r.no_memory && r.n) find_circle(&r);
    json_decref(r.index);
    sb_free(r.nodes);
    if (r.no_memory) return SB_FAIL(err, SB_NO_MEMORY, "tools: out of memory");
    if (r.why) *out_why = r.why;
    *io_n = r.n_seen;
    return SB_OK;
}
