/* SPDX-License-Identifier: BSD-3-Clause */
/* What a target can do, found out by asking it before the first case. Skips name these findings. */
#ifndef NVC_ENGINE_PROBE_H
#define NVC_ENGINE_PROBE_H

#include "harness/engine/profile.h"
#include "suites/case.h"

enum { FINDING_SIZE = 200 };

struct capabilities {
	unsigned int met;		       /* enum need */
	char finding[NUM_NEEDS][FINDING_SIZE]; /* what was seen, for each need */
	uint32_t hashes, dhgroups; /* bits of what an identity takes for which nothing is fixed */
	char hash_finding[FINDING_SIZE], dhgroup_finding[FINDING_SIZE];
	uint64_t answer_time; /* ns that a connection, ICReq and Connect took together */
	size_t block_len;     /* of namespace 1; 0: not known */
};

/*
 * probe_target asks the target of `profile` through `host` (names and keys are set here for each question). NVC_OK
 * with `capabilities` filled, or the error of the first connection: the target cannot be reached or does not speak NVMe/TCP.
 */
enum nvc_result probe_target(const struct profile *profile, struct nvc_host *host, bool reference,
	struct capabilities *capabilities, struct nvc_error *err);

/* need_name returns the name of one need bit, e.g. "concat". */
const char *need_name(unsigned int index);

/* probe_act_as gives `host` the names and keys of a profile's host. */
void probe_act_as(
	struct nvc_host *host, const struct profile *profile, const struct profile_host *identity);

#endif
