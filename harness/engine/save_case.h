/* SPDX-License-Identifier: BSD-3-Clause */
/* A re-enacted capture as a case for suites/, in C and in the verbs of suites/steps.h. */
#ifndef NVC_ENGINE_SAVE_CASE_H
#define NVC_ENGINE_SAVE_CASE_H

#include "harness/engine/reenact_state.h"

/*
 * save_case writes the script of `re`, which has been re-enacted, to the new file `path`. The case expects what the capture shows;
 * where the captured target violated a requirement, it judges that requirement, and expects what the new target did. `num_left_out`
 * receives how many steps no verb can say; they are comments. NVC_E_INVALID when the file is there already or cannot be written.
 */
enum nvc_result save_case(const struct reenact *re, const char *path, const char *capture,
	unsigned int *num_left_out, struct nvc_error *err);

#endif
