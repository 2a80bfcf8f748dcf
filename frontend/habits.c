#include "frontend/habits.h"

#include <ctype.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

typedef struct {
    const char *word, *tail;
} Habit;

#define CALLED(name) "; it is called '" name "' here"

/* Names, compared without case, '_' and a final 2d. */
static const Habit NAMES[] = {
    {"linear", CALLED("Dense")},
    {"conv", CALLED("Conv")},
    {"conv1d", CALLED("Conv1")},
    {"maxpooling", CALLED("maxpool")},
    {"averagepooling", CALLED("avgpool")},
    {"maxpool1d", CALLED("maxpool1")},
    {"avgpool1d", CALLED("avgpool1")},
    {"globalaveragepooling", CALLED("global_avgpool")},
    {"batchnormalization", CALLED("BatchNorm")},
    {"embedding", CALLED("Embed")},
    {"lstm", CALLED("Lstm")},
    {"simplernn", CALLED("Rnn")},
    {"crossentropy", CALLED("xent")},
    {"crossentropyloss", CALLED("xent")},
    {"categoricalcrossentropy", CALLED("xent")},
    {"sparsecategoricalcrossentropy", CALLED("xent")},
    {"binarycrossentropy", CALLED("bce")},
    {"bceloss", CALLED("bce")},
    {"bcewithlogitsloss", CALLED("bce")},
    {"mseloss", CALLED("mse")},
    {"meansquarederror", CALLED("mse")},
    {"l1loss", CALLED("mae")},
    {"meanabsoluteerror", CALLED("mae")},
    {"cat", CALLED("concat")},
    {"concatenate", CALLED("concat")},
    {"activation", "; activations are functions: x |> relu"},
    {"detach", CALLED("stop")},
    {"stopgradient", CALLED("stop")},
    {"matmul", "; W*x is the product of a matrix and a vector"},
    {"dot", "; sum[i](a[i]*b[i]) is the inner product"},
    {"pow", "; x^2 is a power"},
    {"reshape", "; flatten makes a vector, and an equation gives any other shape: y[i,j] = x[4*i+j]"},
    {"transpose", "; an equation swaps dims: y[j,i] = x[i,j]"},
    {"squeeze", "; a subscript takes a dim away: x[0]"},
    {"shape", "; the length of a dim is the dim's own name"},
    {"size", "; the length of a dim is the dim's own name"},
    {"t", "; an equation swaps dims: y[j,i] = x[i,j]"},
    {"print", "; netc run and netc eval print results"},
    {"len", "; the length of a dim is the dim's own name"},
    {"range", "; 'repeat i in 0:3 { ... }' repeats statements"},
    {"nn", "; layers stand without a prefix: x |> Dense(10)"},
    {"keras", "; layers stand without a prefix: x |> Dense(10)"},
    {"tf", "; functions stand without a prefix: exp(x)"},
    {"torch", "; functions stand without a prefix: exp(x)"},
    {"ratio", "; ratio(a, b) stands in a metric alone"},
    {"np", "; functions stand without a prefix: exp(x)"},
    {"self", "; names of the model stand without a prefix"},
    {"true", "; it is written 'true'"},
    {"false", "; it is written 'false'"},
    {"none", "; every name has a value here"},
    {"null", "; every name has a value here"},
    {"float", "; the number type is f32"},
    {"int", "; the whole number type is i32"},
    {"tensor", "; a type is written with its sizes: [3,4]"},
};

static const Habit STATEMENTS[] = {
    {"def", "; a function is 'fn f(x) = ...'"},
    {"func", "; a function is 'fn f(x) = ...'"},
    {"function", "; a function is 'fn f(x) = ...'"},
    {"class", "; a net is 'model Name { ... }', a layer 'layer Name(n)(x: [m]) -> [n] { ... }'"},
    {"import", "; 'use \"other.net\"' brings in another file, and the library is always there"},
    {"include", "; 'use \"other.net\"' brings in another file, and the library is always there"},
    {"for", "; 'repeat i in 0:3 { ... }' repeats statements, and an equation y[i] = ... runs over a dim"},
    {"while", "; 'repeat i in 0:3 { ... }' repeats statements, 'scan t in T until c { ... }' goes through a sequence"},
    {"var", "; a value is named by 'x = ...', a trained one by 'param w: [n] = 0'"},
    {"let", "; a value is named by 'x = ...', a trained one by 'param w: [n] = 0'"},
    {"const", "; a fixed size is 'dim N = 3', a fixed number 'hyper a = 0.1'"},
    {"print", "; netc run and netc eval print results"},
};

static bool same_name(const char *name, const char *word) {
    for (; *name; name++) {
        if (*name == '_') continue;
        if (tolower((unsigned char)*name) != *word) break;
        word++;
    }
    bool flat = (name[0] == '2' || name[0] == '3') && tolower((unsigned char)name[1]) == 'd' && !name[2];
    return !*word && (!*name || flat);
}

const char *habit_name(const char *name) {
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES; i++)
        if (same_name(name, NAMES[i].word)) return NAMES[i].tail;
    return "";
}

const char *habit_statement(const char *word, int len) {
    for (size_t i = 0; i < sizeof STATEMENTS / sizeof *STATEMENTS; i++)
        if ((int)strlen(STATEMENTS[i].word) == len && !memcmp(STATEMENTS[i].word, word, (size_t)len))
            return STATEMENTS[i].tail;
    return "";
}

const char *habit_character(char c) {
    switch (c) {
    case '@': return "; W*x is the product of matrices";
    case '%': return "; the rest of a division is x - n*floor(x/n)";
    case '&': return "; 'and' joins conditions";
    case '|': return "; 'or' joins conditions, '|>' passes a value on";
    case '!': return "; 'not' negates a condition";
    case '?': return "; a choice is 'if c then a else b'";
    case '\'': return "; a text stands between two '\"'";
    case '.': return "; a number has a digit before and after its point: 0.5";
    case '\\': return "; a line goes on by itself after an operator or in an open bracket";
    }
    return "";
}
