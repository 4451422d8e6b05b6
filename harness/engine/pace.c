/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness/engine/pace.h"

#include <stdio.h>

#include "harness/engine/liveness.h"

enum {
	ANSWERS_PER_WAIT =
		20, /* so many times what the probe's first answers took is added to a wait */
	LONGEST_EXTRA_S = 30,
	PROMPT_SHARE = 20, /* a fresh connection is prompt within this part of the run's timeout */
	LEAST_GRACE_MS = 50,
	GRACE_FACTOR =
		4, /* what was waited for had more time than a fresh connection; it gets this much more */
};

uint64_t pace_wait(const struct run_config *run, uint64_t wait)
{
	uint64_t extra = run->capabilities.answer_time * ANSWERS_PER_WAIT;

	if (run->reference)
		return wait;
	return wait + (extra < NVC_SEC(LONGEST_EXTRA_S) ? extra : NVC_SEC(LONGEST_EXTRA_S));
}

static bool a_wait_ran_out(const struct test *t)
{
	for (size_t i = 0; i < t->num_hosts; i++)
		if (t->hosts[i].num_timeouts)
			return true;
	return false;
}

bool pace_unopened(const struct test *t)
{
	for (size_t i = 0; i < t->num_hosts; i++)
		if (t->hosts[i].num_unopened)
			return true;
	return false;
}

/* Looks once more where the last wait ran out. */
static const struct nvc_queue_info *came_late(struct test *t, uint64_t grace)
{
	enum nvc_end end;

	for (size_t i = 0; i < t->num_hosts; i++)
		for (struct nvc_queue *queue = t->hosts[i].queues; queue;
			queue = nvc_queue_next(queue)) {
			const struct nvc_queue_info *info = nvc_queue_info(queue);
			size_t before = info->pdus_received;

			if (info->silent && info->end == NVC_END_OPEN &&
				(nvc_queue_await_end(queue, grace, &end, NULL) == NVC_OK ||
					info->pdus_received != before))
				return info;
		}
	return NULL;
}

bool pace_excuses(struct test *t, char *why, size_t size)
{
	struct nvc_error err = {0};
	struct nvc_host fresh;
	uint64_t begun = nvc_env_now(&t->world.env), took, grace;
	const struct nvc_queue_info *late;
	enum nvc_result result;

	if (test_is_virtual(t) || !a_wait_ran_out(t))
		return false;
	nvc_host_init(&fresh, &t->world);
	fresh.addresses[NVC_PORT_MAIN] = t->hosts[0].addresses[NVC_PORT_MAIN];
	fresh.addresses[NVC_PORT_TLS_ONLY] = t->hosts[0].addresses[NVC_PORT_TLS_ONLY];
	fresh.timeout = t->hosts[0].timeout;
	result = liveness_knock(&fresh, false, &err);
	nvc_host_fini(&fresh);
	took = nvc_env_now(&t->world.env) - begun;
	if (result != NVC_OK) {
		snprintf(why, size, "a fresh connection was not served either (%s)", err.text);
		return true;
	}
	if (took > t->run->timeout / PROMPT_SHARE) {
		snprintf(why, size, "the target is slow: a fresh connection took %llu ms",
			(unsigned long long)(took / NVC_MS(1)));
		return true;
	}
	grace = took * GRACE_FACTOR > NVC_MS(LEAST_GRACE_MS) ? took * GRACE_FACTOR
							     : NVC_MS(LEAST_GRACE_MS);
	late = came_late(t, grace);
	if (late)
		snprintf(why, size,
			"the target is slow: %s got what was waited for when the wait was over",
			late->label);
	return late != NULL;
}
