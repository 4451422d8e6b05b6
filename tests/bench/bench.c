/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What an in-process case costs over the Diffie-Hellman operations it cannot do without: two key pairs and two shared
 * secrets. Both are measured in turn within one run, so that the ratio holds when the machine's speed drifts.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "crypto/dh.h"
#include "harness/engine/probe.h"
#include "harness/engine/reference.h"

enum { ROUNDS = 5 };

static double cpu_seconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* The arithmetic of one exchange and nothing else. */
static bool arithmetic(struct nvc_seeded *random, uint8_t group)
{
	uint8_t x[NVC_DH_PRIVATE_LEN], y[NVC_DH_PRIVATE_LEN], shared[NVC_MAX_DH_LEN];
	struct nvc_dh_key *controller = NULL, *host = NULL;
	struct nvc_writer a = nvc_writer_over(shared, sizeof(shared)), b = a;
	bool done;

	nvc_seeded_random(random, x, sizeof(x));
	nvc_seeded_random(random, y, sizeof(y));
	done = nvc_dh_key_new(group, NVC_SLICE(x), &controller) == NVC_OK &&
	       nvc_dh_key_new(group, NVC_SLICE(y), &host) == NVC_OK &&
	       nvc_dh_derive(controller, nvc_dh_key_public(host), &a) == NVC_OK &&
	       nvc_dh_derive(host, nvc_dh_key_public(controller), &b) == NVC_OK;
	nvc_dh_key_free(controller);
	nvc_dh_key_free(host);
	return done;
}

/* A whole case: target, connection, Connect, authentication, a command, the end. */
static bool whole_case(const struct profile *profile, uint8_t group)
{
	const struct reference_options clean = {.num_defects = 0};
	struct reference *reference = reference_new(profile, &clean, 1, NULL);
	struct nvc_auth_outcome outcome = {0};
	struct nvc_queue *queue = NULL;
	struct nvc_auth_offer offer = NVC_OFFER(NVC_HASH_SHA256, group);
	struct nvc_completion done = {0};
	struct nvc_world world;
	struct nvc_host host;
	bool good;

	if (!reference)
		return false;
	world = reference_world(reference);
	nvc_host_init(&host, &world);
	host.addresses[NVC_PORT_MAIN] = (struct nvc_address){profile->addr, profile->port_concat};
	for (size_t i = 0; i < profile->num_hosts; i++)
		if (profile->hosts[i].hash_id == NVC_HASH_SHA256 &&
			profile->hosts[i].dhgid == group && !profile->hosts[i].has_ctrl_secret)
			probe_act_as(&host, profile, &profile->hosts[i]);
	good = nvc_queue_establish(&host, &(const struct nvc_queue_options){0}, &queue, NULL) ==
		       NVC_OK &&
	       nvc_auth_authenticate(queue, NVC_SC_C_NOSC, NVC_AUTH_UNIDIRECTIONAL, &offer,
		       &outcome) == NVC_OUTCOME_SUCCESS &&
	       nvc_queue_usable(queue, 0, &done, NULL) == NVC_OK && done.status == NVC_SC_SUCCESS;
	nvc_host_fini(&host);
	reference_free(reference);
	return good;
}

int main(void)
{
	struct nvc_seeded *random = nvc_seeded_new(1, "bench");
	static struct profile profile;
	double null_ms = 0;

	profile_reference(&profile, 1);
	printf("%-10s %12s %12s %8s\n", "group", "case ms", "DH ms", "ratio");
	for (uint8_t group = NVC_DH_NULL; group < NVC_NUM_DHGROUPS; group++) {
		double cases = 0, dh = 0;
		for (int round = 0; round <= ROUNDS; round++) {
			double start = cpu_seconds(), middle;
			bool good = whole_case(&profile, group);
			middle = cpu_seconds();
			good = good && (group == NVC_DH_NULL || arithmetic(random, group));
			if (!good) {
				fprintf(stderr, "bench: group %u: the exchange failed\n", group);
				return 1;
			}
			if (round) { /* the first one warms up */
				cases += middle - start;
				dh += cpu_seconds() - middle;
			}
		}
		if (group == NVC_DH_NULL) {
			null_ms = cases / ROUNDS * 1e3;
			printf("%-10s %12.3f %12s %8s\n", nvc_name_of(nvc_dhgroup_names, group),
				null_ms, "-", "-");
		} else {
			printf("%-10s %12.3f %12.3f %8.2f\n", nvc_name_of(nvc_dhgroup_names, group),
				cases / ROUNDS * 1e3, dh / ROUNDS * 1e3, cases / dh);
		}
	}
	nvc_seeded_free(random);
	return 0;
}
