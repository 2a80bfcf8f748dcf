/* netc inspect: what is in a tensor file: names, types, shapes, ranges, and the notes of safetensors. */
#include <math.h>
#include <string.h>

#include "driver/build.h"
#include "driver/commands.h"
#include "runtime/tensor_file.h"

static bool ends_with(const char *s, const char *end) {
    size_t n = strlen(s), m = strlen(end);
    return n >= m && !strcmp(s + n - m, end);
}

static void print_tensor(const netc_tensor *t) {
    char    shape[NETC_SHAPE_TEXT];
    int64_t n = netc_tensor_count(t), bad = 0;
    double  low = INFINITY, high = -INFINITY, sum = 0;
    for (int64_t i = 0; i < n; i++) {
        double v = netc_tensor_get(t, i);
        if (!isfinite(v)) {
            bad++;
            continue;
        }
        low = fmin(low, v);
        high = fmax(high, v);
        sum += v;
    }
    printf("%-28s %-5s %-20s", t->name ? t->name : "", netc_dtype_text(t->dtype),
           netc_shape_text(t->rank, t->shape, shape));
    if (n > bad) printf(" %12.6g .. %-12.6g mean %.6g", low, high, sum / (double)(n - bad));
    if (bad) printf("  %lld NaN or infinite", (long long)bad);
    fputs("\n", stdout);
}

static int inspect_set(const char *path) {
    netc_tensors s;
    int          code = netc_tensors_read(path, NULL, NULL, &s);
    if (code) return code;
    for (int i = 0; i < s.nmeta; i++) printf("# %s = %s\n", s.meta[i].key, s.meta[i].value);
    int64_t numbers = 0;
    for (int i = 0; i < s.count; i++) {
        print_tensor(&s.t[i]);
        numbers += netc_tensor_count(&s.t[i]);
    }
    printf("%d tensors, %lld numbers\n", s.count, (long long)numbers);
    netc_tensors_free(&s);
    return 0;
}

int cmd_inspect(Arena *a, const Options *o) {
    if (!o->operand) {
        fputs("netc: inspect needs a file\n", stderr);
        return NETC_EXIT_USAGE;
    }
    const char *path = o->operand;
    netc_set_program("netc inspect");
    if (ends_with(path, ".net")) return cmd_check(a, o);
    if (ends_with(path, ".safetensors") || ends_with(path, ".npz")) return inspect_set(path);
    netc_tensor t;
    int         code = netc_tensor_read(path, &t);
    if (code) return code;
    print_tensor(&t);
    netc_tensor_free(&t);
    return 0;
}
