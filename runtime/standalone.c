/* main of a stand-alone trainer: linked in only where nothing else defines main. The model's object file
 * holds its description and its functions. */
#include "runtime/netc_rt.h"

extern const char                netc_model_description[];
extern const uint64_t            netc_model_description_size;
extern const netc_function_entry netc_model_functions[];

int main(int argc, char **argv) {
    return netc_trainer_main(argc, argv, netc_model_description, netc_model_description_size, netc_model_functions);
}
