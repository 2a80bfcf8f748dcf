/* The grammar of .net files. Newlines and statement words come decided from tokens.c; where an item may stand
 * and what it means is decided after parsing. Positions: see ast.def. */
%require "3.8"
%define api.pure full
%define api.prefix {net_}
%define api.token.prefix {T_}
%define api.location.type {Loc}
%define parse.error custom
%define parse.lac full
%locations
%expect 0
%param {Parser *p}

%code requires {
#include "frontend/parse_impl.h"
}

%union {
    const char *name;
    struct {
        double value;
        bool   whole;
    } number;
    Ast    *ast;
    AstList list;
}

%code {
#define YYMAXDEPTH 20000
/* A span begins where its first part begins and ends where its last part ends (or with its line). */
#define YYLLOC_DEFAULT(cur, rhs, n) ((cur) = (n) ? span(YYRHSLOC(rhs, 1), YYRHSLOC(rhs, n)) : YYRHSLOC(rhs, 0))
#define NODE(id, at, ...) ast_make(p, (Ast){.kind = AST_##id, .loc = (at), __VA_ARGS__})

int net_lex(NET_STYPE *value, Loc *loc, Parser *p);

static Loc span(Loc a, Loc b) {
    a.len = a.line == b.line ? b.col + b.len - a.col : 10000;
    return a;
}

static void yyerror(const Loc *at, Parser *p, const char *text) {
    (void)text;                    /* bison's stack is full: the only message that comes here */
    tokens_error(p, *at, E_LIMIT_DEPTH, "nesting too deep");
}

static AstList more(Parser *p, AstList list, Ast *last) {
    vec_push(p->arena, &list, last);
    return list;
}

static AstList one(Parser *p, Ast *first) { return more(p, (AstList){0}, first); }

static Ast *bin(Parser *p, BinOp op, Loc at, Ast *a, Ast *b) {
    return NODE(BIN, at, .op = op, .a = a, .b = b);
}

static AstList more_args(Parser *p, AstList list, Ast *arg) {
    if (list.at[list.n - 1]->name && !arg->name)
        tokens_error(p, arg->loc, E_SYNTAX_ARGUMENT, "a positional argument after a named one");
    return more(p, list, arg);
}
}

%token END 0 "end of file"
%token NL "end of line"
%token <name> ID "a name" STR "a text" FIELD "a field"
%token <number> NUM "a number"
%token NET USE DIM HYPER FN LAYER OPTIM DATA MODEL OBJECTIVE ENTRY TRAIN
%token PARAM STATE NEXT LOSS METRIC SCAN REPEAT
%token IF "if" THEN "then" ELSE "else" IN "in" FROM "from" AS "as" UNTIL "until" ON "on" WITH "with"
%token OR "or" AND "and" NOT "not" TRUE "true" FALSE "false" RETURN "return"
%token ARROW "->" PIPE "|>" GUARD "??" EQ "==" NE "!=" LE "<=" GE ">=" EMUL ".*" EDIV "./"
%token PLUS "+" MINUS "-" STAR "*" SLASH "/" POWER "^" LT "<" GT ">" ASSIGN "=" TILDE "~" COLON ":" COMMA ","
%token LPAREN "(" RPAREN ")" LBRACKET "[" RBRACKET "]" LBRACE "{" RBRACE "}"

%precedence "else"
%left "|>"
%left "or"
%left "and"
%precedence "not"
%nonassoc "==" "!=" "<" ">" "<=" ">="
%left "+" "-"
%left "*" "/" ".*" "./"
%precedence UNARY
%right "^"

%type <list> items block body params params1 types lhss exprs args args1 indexes with
%type <ast> plain blocky result in_list until param type lhs arg index expr guarded postfix
%%
file    : items                                 { p->items = $1; }
        ;
items   : %empty                                { $$ = (AstList){0}; }
        | items NL
        | items blocky                          { $$ = more(p, $1, $2); }
        | items plain NL                        { $$ = more(p, $1, $2); }
        | items error NL                        { $$ = $1; if (p->stopped) YYABORT; yyerrok; }
        ;
block   : "{" items "}"                         { $$ = $2; }
        | "{" items plain "}"                   { $$ = more(p, $2, $3); }
        | "{" items error "}"                   { $$ = $2; if (p->stopped) YYABORT; yyerrok; }
        ;

/* Items that end with a block need no newline before the next item. */
blocky  : FN ID params result block             { $$ = NODE(FN, @1, .name = $2, .params = $3, .type = $4,
                                                            .items = $5); }
        | LAYER ID params params result block   { $$ = NODE(LAYER, @1, .name = $2, .statics = $3, .params = $4,
                                                            .type = $5, .items = $6); }
        | OPTIM ID params params block          { $$ = NODE(OPTIM, @1, .name = $2, .statics = $3, .params = $4,
                                                            .items = $5); }
        | DATA ID params block                  { $$ = NODE(DATA, @1, .name = $2, .params = $3, .items = $4); }
        | MODEL ID block                        { $$ = NODE(MODEL, @1, .name = $2, .items = $3); }
        | MODEL ID params block                 { $$ = NODE(MODEL, @1, .name = $2, .statics = $3, .items = $4); }
        | OBJECTIVE params block                { $$ = NODE(OBJECTIVE, @1, .params = $2, .items = $3); }
        | ENTRY ID params result block          { $$ = NODE(ENTRY, @1, .name = $2, .params = $3, .type = $4,
                                                            .items = $5); }
        | TRAIN ID "on" ID block                { $$ = NODE(TRAIN, @1, .name = $2, .text = $4, .items = $5); }
        | SCAN ID "in" expr until with block    { $$ = NODE(SCAN, @1, .name = $2, .a = $4, .b = $5, .args = $6,
                                                            .items = $7); }
        | REPEAT ID "in" expr ":" expr block    { $$ = NODE(REPEAT, @1, .name = $2, .a = $4, .b = $6, .items = $7); }
        ;
plain   : NET NUM                               { $$ = NODE(NET, @1, .num = $2.value); }
        | USE STR                               { $$ = NODE(USE, @1, .name = $2); }
        | DIM ID "=" expr in_list               { $$ = NODE(DIM, @1, .name = $2, .a = $4, .b = $5); }
        | DIM ID "<=" expr in_list              { $$ = NODE(DIM, @1, .name = $2, .a = $4, .b = $5, .flag = true); }
        | HYPER ID "=" expr in_list             { $$ = NODE(HYPER, @1, .name = $2, .a = $4, .b = $5); }
        | FN ID params result body              { $$ = NODE(FN, @1, .name = $2, .params = $3, .type = $4,
                                                            .items = $5); }
        | LAYER ID params params result body    { $$ = NODE(LAYER, @1, .name = $2, .statics = $3, .params = $4,
                                                            .type = $5, .items = $6); }
        | ENTRY ID params result body           { $$ = NODE(ENTRY, @1, .name = $2, .params = $3, .type = $4,
                                                            .items = $5); }
        | PARAM ID ":" type "~" expr            { $$ = NODE(PARAM, @1, .name = $2, .type = $4, .a = $6, .flag = true); }
        | PARAM ID ":" type "=" expr            { $$ = NODE(PARAM, @1, .name = $2, .type = $4, .a = $6); }
        | STATE ID ":" type "=" expr            { $$ = NODE(STATE, @1, .name = $2, .type = $4, .a = $6); }
        | STATE ID "=" expr                     { $$ = NODE(STATE, @1, .name = $2, .a = $4); }
        | NEXT ID "=" expr                      { $$ = NODE(NEXT, @1, .name = $2, .a = $4); }
        | LOSS expr                             { $$ = NODE(LOSS, @1, .a = $2); }
        | METRIC ID "=" expr                    { $$ = NODE(METRIC, @1, .name = $2, .a = $4); }
        | "return" exprs                        { $$ = NODE(RETURN, @1, .args = $2); }
        | lhss "=" exprs                        { $$ = NODE(ASSIGN, $1.at[0]->loc, .params = $1, .args = $3); }
        | lhss "=" exprs "from" exprs           { $$ = NODE(ASSIGN, $1.at[0]->loc, .params = $1, .args = $3,
                                                            .from = $5); }
        ;
body    : "=" expr                              { $$ = one(p, NODE(RETURN, $2->loc, .args = one(p, $2))); }
        ;
result  : %empty                                { $$ = NULL; }
        | "->" type                             { $$ = $2; }
        ;
in_list : %empty                                { $$ = NULL; }
        | "in" expr                             { $$ = $2; }
        ;
until   : %empty                                { $$ = NULL; }
        | "until" expr                          { $$ = $2; }
        ;
with    : %empty                                { $$ = (AstList){0}; }
        | "with" "(" args ")"                   { $$ = $3; }
        ;
params  : "(" ")"                               { $$ = (AstList){0}; }
        | "(" params1 ")"                       { $$ = $2; }
        ;
params1 : param                                 { $$ = one(p, $1); }
        | params1 "," param                     { $$ = more(p, $1, $3); }
        ;
param   : ID                                    { $$ = NODE(P, @1, .name = $1); }
        | ID "=" expr                           { $$ = NODE(P, @1, .name = $1, .a = $3); }
        | ID ":" type                           { $$ = NODE(P, @1, .name = $1, .type = $3); }
        | ID ":" type "=" expr                  { $$ = NODE(P, @1, .name = $1, .type = $3, .a = $5); }
        ;
type    : ID                                    { $$ = NODE(TYPE, @1, .name = $1); }
        | ID "[" exprs "]"                      { $$ = NODE(TYPE, @$, .name = $1, .args = $3); }
        | "[" exprs "]"                         { $$ = NODE(TYPE, @$, .name = "f32", .args = $2); }
        | "(" types ")"                         { $$ = NODE(TUPLETYPE, @$, .args = $2); }
        ;
types   : type                                  { $$ = one(p, $1); }
        | types "," type                        { $$ = more(p, $1, $3); }
        ;
lhss    : lhs                                   { $$ = one(p, $1); }
        | lhss "," lhs                          { $$ = more(p, $1, $3); }
        ;
lhs     : ID                                    { $$ = NODE(LHS, @1, .name = $1); }
        | ID "[" exprs "]"                      { $$ = NODE(LHS, @1, .name = $1, .args = $3, .flag = true); }
        ;
exprs   : expr                                  { $$ = one(p, $1); }
        | exprs "," expr                        { $$ = more(p, $1, $3); }
        ;
args    : %empty                                { $$ = (AstList){0}; }
        | args1
        ;
args1   : arg                                   { $$ = one(p, $1); }
        | args1 "," arg                         { $$ = more_args(p, $1, $3); }
        ;
arg     : expr                                  { $$ = NODE(ARG, @1, .a = $1); }
        | ID "=" expr                           { $$ = NODE(ARG, @1, .name = $1, .a = $3); }
        ;
indexes : index                                 { $$ = one(p, $1); }
        | indexes "," index                     { $$ = more(p, $1, $3); }
        ;
index   : expr
        | expr ":" expr                         { $$ = NODE(SLICE, @$, .a = $1, .b = $3); }
        | ":"                                   { $$ = NODE(SLICE, @1); }
        ;

expr    : guarded
        | expr "|>" postfix                     { $$ = NODE(PIPE, @2, .a = $1, .b = $3); }
        | expr "|>" postfix "as" ID             { $$ = NODE(PIPE, @2, .a = $1, .b = $3, .name = $5); }
        | "if" expr "then" expr "else" expr     { $$ = NODE(IF, @1, .a = $2, .b = $4, .c = $6); }
        | "not" expr                            { $$ = NODE(NOT, @1, .a = $2); }
        | "-" expr %prec UNARY                  { $$ = NODE(NEG, @1, .a = $2); }
        | expr "or" expr                        { $$ = bin(p, BIN_OR, @2, $1, $3); }
        | expr "and" expr                       { $$ = bin(p, BIN_AND, @2, $1, $3); }
        | expr "==" expr                        { $$ = bin(p, BIN_EQ, @2, $1, $3); }
        | expr "!=" expr                        { $$ = bin(p, BIN_NE, @2, $1, $3); }
        | expr "<" expr                         { $$ = bin(p, BIN_LT, @2, $1, $3); }
        | expr ">" expr                         { $$ = bin(p, BIN_GT, @2, $1, $3); }
        | expr "<=" expr                        { $$ = bin(p, BIN_LE, @2, $1, $3); }
        | expr ">=" expr                        { $$ = bin(p, BIN_GE, @2, $1, $3); }
        | expr "+" expr                         { $$ = bin(p, BIN_ADD, @2, $1, $3); }
        | expr "-" expr                         { $$ = bin(p, BIN_SUB, @2, $1, $3); }
        | expr "*" expr                         { $$ = bin(p, BIN_MUL, @2, $1, $3); }
        | expr "/" expr                         { $$ = bin(p, BIN_DIV, @2, $1, $3); }
        | expr ".*" expr                        { $$ = bin(p, BIN_EMUL, @2, $1, $3); }
        | expr "./" expr                        { $$ = bin(p, BIN_EDIV, @2, $1, $3); }
        | expr "^" expr                         { $$ = bin(p, BIN_POW, @2, $1, $3); }
        ;
guarded : postfix
        | postfix "??" postfix                  { $$ = NODE(GUARD, @2, .a = $1, .b = $3); }
        | postfix "??" "-" postfix              { $$ = NODE(GUARD, @2, .a = $1,
                                                            .b = NODE(NEG, @3, .a = $4)); }
        ;
postfix : ID                                    { $$ = NODE(ID, @1, .name = $1); }
        | NUM                                   { $$ = NODE(NUM, @1, .num = $1.value, .flag = $1.whole); }
        | STR                                   { $$ = NODE(STR, @1, .name = $1); }
        | "true"                                { $$ = NODE(BOOL, @1, .flag = true); }
        | "false"                               { $$ = NODE(BOOL, @1); }
        | "(" exprs ")"                         { $$ = $2.n == 1 ? $2.at[0] : NODE(TUPLE, @$, .args = $2); }
        | "[" exprs "]"                         { $$ = NODE(LIST, @$, .args = $2); }
        | postfix "(" args ")"                  { $$ = NODE(CALL, span(@2, @4), .a = $1, .args = $3); }
        | postfix "[" indexes "]"               { $$ = NODE(INDEX, span(@2, @4), .a = $1, .args = $3); }
        | postfix FIELD                         { $$ = NODE(FIELD, @2, .a = $1, .name = $2); }
        ;
%%

static int yyreport_syntax_error(const yypcontext_t *cx, Parser *p) {
    yysymbol_kind_t kinds[YYNTOKENS];
    const char     *names[YYNTOKENS];
    int n = yypcontext_expected_tokens(cx, kinds, YYNTOKENS);
    for (int i = 0; i < n; i++) names[i] = yysymbol_name(kinds[i]);
    tokens_unexpected(p, names, n);
    return 0;
}
