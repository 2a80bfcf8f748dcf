/* The main of a stand-alone trainer. The linker takes this file out of the library only for a program
 * without a main of its own: one made of the object file that `netc compile --emit=trainer` writes. */
#include <signal.h>

#include "runtime/netc_rt.h"

extern const char                netc_model_description[];
extern const int64_t             netc_model_description_size;
extern const netc_function_entry netc_model_functions[];

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    return netc_trainer_main(argc, argv, netc_model_description, (size_t)netc_model_description_size,
                             netc_model_functions);
}
