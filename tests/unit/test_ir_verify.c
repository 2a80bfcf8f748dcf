/* The verifier: each rule is broken once, by text where the text can say it, by hand where it cannot. */
#include "tests/unit/ir_util.h"

#define HEAD \
    "graph g(n<=3, m<=5) {\n%x = input data \"x\" : f32[n,4]\n%y = input data \"y\" : i32[n]\n"                        \
    "%w = param \"w\" : f32[4]\n%t = input data \"t\" : f32[m,4]\n"

static void by_text(void **state) {
    (void)state;
    static const struct { const char *body, *why; } CASES[] = {
        /* V3 */
        {"%z = comp [i] sum f32(idx(1000000000*i)) : f32[4]", "V3: an index value overflows i32"},
        {"%z = comp [i] map idx(1000000000*i) : i32[3]", NULL},
        {"%z = comp [i | j<1099511627776 ; k=1000000000*j<4] sum %w[k] : f32[4]",
         "V3: a derived variable overflows 64 bits"},
        {"%z = comp [| i<1099511627776] sum %w?[1000000000*i] : f32[]", "V3: a subscript overflows 64 bits"},
        {"%z = const [1, 2.5] : i32[2]", "V3: 2.5 is no number of type i32"},
        {"%z = const [0, 256] : u8[2]", "V3: 256 is no number of type u8"},
        {"%z = const nan : pred[]", "V3: nan is no number of type pred"},
        {"%z = comp [] map idx(1000000000+1000000000+1000000000) : i32[]", "V3: 3e+09 is no number of type i32"},
        /* V4 */
        {"%z = comp [i] map %w[i] : f32[4]", NULL},
        {"%z = comp [i] map %w[i] : f32[5]", "V4: subscript 0 of operand 0 runs from 0 to 4 on an axis of 4"},
        {"%z = comp [i] map %w?[i] : f32[5]", NULL},
        {"%z = comp [i] map %w[i-1] : f32[4]", "V4: subscript 0 of operand 0 runs from -1 to 2 on an axis of 4"},
        {"%z = comp [i] map %w[3-i] : f32[4]", NULL},
        {"%z = comp [p | r<2] sum %w[2*p+r] : f32[2]", NULL},
        {"%z = comp [p | r<3] sum %w[2*p+r] : f32[2]", "V4: subscript 0 of operand 0 runs from 0 to 4 on an axis of 4"},
        {"%z = comp [i | r<3 ; p=(i-r)/2<4] sum %w[p] : f32[9]", NULL},
        {"%z = comp [i | r<3 ; p=(i-r)/2<5] sum %w[p] : f32[9]", "V4: subscript 0 of operand 0 runs from 0 to 4"},
        {"%z = comp [| i<4] sum mul(%w[i], %w[i-1]) : f32[]", "V4: subscript 0 of operand 0 runs from -1 to 2"},
        {"%z = comp [b] map %w[{%y[b]}] : f32[n]", NULL},
        {"%z = comp [b | i<4] sum %w[{%y[b+1]}] : f32[n]", "V4: subscript 0 of operand 0 runs from 1 to 3"},
        /* V5 */
        {"%z = comp [b,k] map %x[b,k] : f32[n,4]", NULL},
        {"%z = comp [b,k] map %x[b,k] : f32[3,4]", "V5: subscript 0 of operand 0 may pass the bound n"},
        {"%z = comp [b,k] map %x?[b,k] : f32[3,4]", NULL},
        {"%z = comp [k] map %x[0,k] : f32[4]", "V5: subscript 0 of operand 0 may pass the bound n"},
        {"%z = comp [b,k] map %t[b,k] : f32[n,4]", "V5: subscript 0 of operand 0 may pass the bound m"},
        {"%z = comp [b,k] map %w[b] : f32[n,4]", NULL},
        {"%z = comp [b,k | c<1] sum %x[b-c,k] : f32[n,4]", NULL},
        {"%z = comp [b,k | c<1] sum %x[b+c,k] : f32[n,4]", NULL},
        {"%z = comp [k | c<2,b<n] sum %x?[b-c,k] : f32[4]", NULL},
        {"%z = comp [b,k] map %x[{%y[b]},k] : f32[n,4]", "V5: an indirect subscript on a bounded axis (0)"},
        {"%z = gather %x, %y : f32[n,4]", "V5: an indirect subscript on a bounded axis (0)"},
        {"%z = comp [b ; c=b<n] sum %x[c,0] : f32[n]", NULL},
        {"%z = comp [b ; c=b<3] sum %x[c,0] : f32[n]", "V5: subscript 0 of operand 0 may pass the bound n"},
        /* V7 */
        {"%z = param \"z\" : f32[n,4]", "V7: what is stored has no bounded axis"},
        {"%z = state shared \"z\" 0 : f32[n,4]", "V7: what is stored has no bounded axis"},
        {"%z = state lane \"z\" 0 : f32[n,4]", NULL},
        /* V8 */
        {"out w = %w set %w = %w", NULL},
        {"out a = %w out a = %x", "V8: a is set twice"},
        {"set %w = %w set other: %w = %w", "V8: other is set twice"},
    };
    for (size_t i = 0; i < sizeof CASES / sizeof *CASES; i++) {
        Arena      *a = arena_new();
        const char *why = NULL, *want = CASES[i].why;
        Graph *g = ir_graph(a, arena_printf(a, "%s%s\n}", HEAD, CASES[i].body));
        bool   ok = graph_verify(g, &why);
        if (ok != !want || (want && !strstr(why, want))) fail_msg("%s\ngives: %s", CASES[i].body, ok ? "nothing" : why);
        arena_free(a);
    }
}

/* The graph of the cases below: x, y = exp(x), z = sum of y w. */
typedef struct {
    Graph *g;
    Node  *x, *w, *y, *z;
} Case;

static Case make(Arena *a) {
    Graph *g = ir_good(a, "graph g(n<=3) {\n%x = input data \"x\" : f32[n,4]\n%w = param \"w\" : f32[4]\n"
                          "%y = comp [b,k] map exp(%x[b,k]) : f32[n,4]\n"
                          "%z = comp [b | k<4] sum mul(%y[b,k], %w[k]) : f32[n]\nout z = %z\nset %w = %w\n}");
    return (Case){g, g->nodes.at[0], g->nodes.at[1], g->nodes.at[2], g->nodes.at[3]};
}

static void expect(Arena *a, Case *c, const char *want) {
    const char *why = NULL;
    bool        ok = graph_verify(c->g, &why);
    if (ok || !strstr(why, want)) fail_msg("%s instead of %s", ok ? "nothing" : why, want);
    arena_free(a);
}

#define BREAK(name, what, why)                                                                                         \
    static void name(void **state) {                                                                                   \
        (void)state;                                                                                                   \
        Arena *a = arena_new();                                                                                        \
        Case   c = make(a);                                                                                            \
        what;                                                                                                          \
        expect(a, &c, why);                                                                                            \
    }

/* Expressions are immutable for everyone else; here they are broken on purpose. */
static Expr *expr_of(Node *n) { return (Expr *)n->u.comp.expr; }

BREAK(order_ids, c.y->id = 7, "V1: node number 7 stands at place 2")
BREAK(order_use, c.y->arg[0] = c.z, "V1: operand 0 of %2 (comp) is not defined before it")
BREAK(order_foreign, c.z->arg[0] = make(a).y, "V1: operand 0 of %3 (comp) is not defined before it")
BREAK(order_output, c.g->outs.at[0].value = make(a).z, "V1: output z is not in the graph")
BREAK(order_mark, c.y->mark = &c, "V1: %2 (comp) still carries the mark of a pass")
BREAK(type_rank, c.y->type.rank = 1, "V2: the type is not the one that the operation gives")
BREAK(type_dtype, c.x->type.dtype = DT_U8, "V2: a read of u8 as f32")
BREAK(type_operand, c.x->type.rank = 1, "V2: 2 subscripts on a value of rank 1")
BREAK(type_bound, c.x->type.dim[0].size = 2, "V2: an extent of 2 under bound n of 3")
BREAK(type_extent, c.x->type.dim[1].size = 0, "V2: an extent of 0")
BREAK(type_map, c.z->u.comp.kind = KIND_MAP, "V2: a map has no variables but its outs")
BREAK(type_number, expr_of(c.z)->dtype = DT_I32, "V2: mul gives f32, not i32")
BREAK(type_var, ((Expr *)expr_of(c.z)->arg[1])->sub[0].aff = affine_var(2),
      "V2: variable 2 is not defined where it is used")
BREAK(type_operand_number, ((Expr *)expr_of(c.z)->arg[1])->operand = 2, "V2: a read of operand 2, which is not there")
BREAK(type_divisor, c.z->u.comp.var[1].div = 2, "V2: variable 1: only a derived variable has a divisor")
BREAK(form_zero, ((Expr *)expr_of(c.z)->arg[1])->sub[0].aff.term[0].coef = 0, "V3: an affine form has a term 0")
BREAK(operand_unread, c.z->u.comp.expr = expr_of(c.z)->arg[0], "V6: operand 1 is not read")
BREAK(leaf_twice, c.x->op = OP_PARAM; c.x->u.param.key = "w"; c.x->type = c.w->type, "V7: %0 is the same leaf")
BREAK(target_kind, c.g->outs.at[1].kind = OUT_STATE, "V8: update w sets a leaf of another kind")
BREAK(target_missing, c.g->outs.at[1].target = NULL, "V8: output w: only an update has a target")
BREAK(target_type, c.g->outs.at[1].value = c.z, "V8: update w has another type than its target")

static void unsorted_form(void **state) {
    (void)state;
    Arena  *a = arena_new();
    Case    c = make(a);
    Affine *f = &((Expr *)expr_of(c.z)->arg[1])->sub[0].aff;
    f->n = 2;
    f->term[1] = f->term[0];
    f->term[1].var = 0;
    expect(a, &c, "V3: the terms of an affine form are not sorted");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_text),
        cmocka_unit_test(order_ids),
        cmocka_unit_test(order_use),
        cmocka_unit_test(order_foreign),
        cmocka_unit_test(order_output),
        cmocka_unit_test(order_mark),
        cmocka_unit_test(type_rank),
        cmocka_unit_test(type_dtype),
        cmocka_unit_test(type_operand),
        cmocka_unit_test(type_bound),
        cmocka_unit_test(type_extent),
        cmocka_unit_test(type_map),
        cmocka_unit_test(type_number),
        cmocka_unit_test(type_var),
        cmocka_unit_test(type_operand_number),
        cmocka_unit_test(type_divisor),
        cmocka_unit_test(form_zero),
        cmocka_unit_test(unsorted_form),
        cmocka_unit_test(operand_unread),
        cmocka_unit_test(leaf_twice),
        cmocka_unit_test(target_kind),
        cmocka_unit_test(target_missing),
        cmocka_unit_test(target_type),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
