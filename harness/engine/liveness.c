/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness/engine/liveness.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "harness/engine/events.h"
#include "harness/engine/turns.h"

/* One lost connection is no death: a busy target may drop one. */
enum { ATTEMPTS = 3 };

static bool same_group(const struct instance *a, const struct instance *b)
{
	size_t len = strcspn(a->id, ".");

	return len == strcspn(b->id, ".") && memcmp(a->id, b->id, len) == 0;
}

bool liveness_due(const struct liveness *liveness, size_t index, bool clean)
{
	const struct instance *const *cases = liveness->cases;

	return !clean || index + 1 == liveness->num_cases ||
	       !same_group(cases[index], cases[index + 1]);
}

enum nvc_result liveness_knock(struct nvc_host *host, bool connects, struct nvc_error *err)
{
	bool clear = host->addresses[NVC_PORT_MAIN].port && host->addresses[NVC_PORT_MAIN].port[0];
	const struct nvc_queue_options options = {
		.label = "liveness", .port = clear ? NVC_PORT_MAIN : NVC_PORT_TLS_ONLY};
	struct nvc_completion done;
	struct nvc_queue *queue = NULL;
	enum nvc_result result = nvc_queue_open(host, &options, &queue, err);

	if (result == NVC_OK && clear)
		result = nvc_queue_ic(queue, &options, err);
	if (result == NVC_OK && clear && connects)
		result = nvc_queue_connect(queue, &options, &done, err);
	nvc_queue_free(queue);
	return result;
}

static enum nvc_result serves(const struct run_config *run, size_t index, struct nvc_error *err)
{
	const struct profile *profile = &run->profile;
	struct nvc_seeded *random = nvc_seeded_new(run->seed + index, "liveness");
	struct nvc_world world = nvc_world_system(random);
	enum nvc_result result = NVC_E_NO_MEMORY;
	int identity, turn = turns_take_any(&run->turns, profile, &identity);
	int among_cases = turns_enter(&run->turns, false);
	struct nvc_host host;

	nvc_host_init(&host, &world);
	host.timeout = run->timeout;
	host.addresses[NVC_PORT_MAIN] = (struct nvc_address){profile->addr, profile->port_concat};
	host.addresses[NVC_PORT_TLS_ONLY] = (struct nvc_address){profile->addr, profile->port_tls};
	probe_act_as(&host, profile, &profile->hosts[identity >= 0 ? identity : 0]);
	if (run->settle)
		world.wait_until(world.self, nvc_env_now(&world.env) + run->settle);
	for (int attempt = 1; attempt <= ATTEMPTS; attempt++) {
		*err = (struct nvc_error){0};
		result = liveness_knock(&host, identity >= 0, err);
		if (result == NVC_OK || attempt == ATTEMPTS)
			break;
		world.wait_until(world.self, nvc_env_now(&world.env) + NVC_MS(200));
	}
	nvc_host_fini(&host);
	turns_leave(among_cases);
	turns_leave(turn);
	nvc_seeded_free(random);
	return result;
}

static void say_dead(const struct liveness *liveness, size_t index, const char *seen)
{
	json_t *suspects = json_array();
	size_t first = liveness->num_proven;

	for (size_t i = first; i <= index; i++)
		json_array_append_new(suspects, json_string(liveness->cases[i]->id));
	events_write(STDOUT_FILENO,
		json_pack("{s:s, s:o, s:s, s:o}", "event", "dead", "seen", events_text(seen),
			"last_alive", first ? liveness->cases[first - 1]->id : "", "suspects",
			suspects));
}

enum nvc_result liveness_ask(struct liveness *liveness, const struct run_config *run, size_t index,
	struct nvc_error *err)
{
	struct nvc_error why = {0};

	if (run->reference || serves(run, index, &why) == NVC_OK) {
		liveness->num_proven = index + 1;
		return NVC_OK;
	}
	say_dead(liveness, index, why.text);
	return nvc_fail(err, NVC_E_CLOSED,
		"the target is dead since %s (%s); it was last seen alive %s%s",
		liveness->cases[index]->id, why.text,
		liveness->num_proven ? "after " : "before the first case",
		liveness->num_proven ? liveness->cases[liveness->num_proven - 1]->id : "");
}
