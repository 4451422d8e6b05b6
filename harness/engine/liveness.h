/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The bracket around groups of cases: does a real target still serve? In process every case has a target of its own, so there
 * is nothing to ask.
 */
#ifndef NVC_ENGINE_LIVENESS_H
#define NVC_ENGINE_LIVENESS_H

#include "harness/engine/test.h"

/* What the bracket remembers of a run: its cases (borrowed), and after how many of them the target was seen alive. */
struct liveness {
	const struct instance *const *cases;
	size_t num_cases;
	size_t num_proven;
};

/*
 * liveness_knock opens a connection of `host`, whose addresses are set, and does ICReq and, with `connects`, Connect. NVC_OK for any answer, a
 * refusing completion too. Of a target with nothing but a TLS port it only asks that somebody listens.
 */
enum nvc_result liveness_knock(struct nvc_host *host, bool connects, struct nvc_error *err);

/* liveness_due tells whether the target has to be asked after case `index`: its group (cases of one area in a row) ends with it, or its
 * verdict was not `clean`. */
bool liveness_due(const struct liveness *liveness, size_t index, bool clean);

/*
 * liveness_ask asks the target after case `index`, on fresh connections. NVC_OK when it serves, and when it is in this process. Else it
 * writes the event `dead`, which names the cases since the target was last seen alive, and returns NVC_E_CLOSED.
 */
enum nvc_result liveness_ask(struct liveness *liveness, const struct run_config *run, size_t index,
	struct nvc_error *err);

#endif
