/* SPDX-License-Identifier: BSD-3-Clause */
/* The simulated world: services in this process, a virtual clock, one thread, the same bytes for the same seed. */
#ifndef NVC_STREAM_SIM_H
#define NVC_STREAM_SIM_H

#include "stream/service.h"

struct nvc_sim;

/* nvc_sim_new returns a world whose clock starts at one second and whose randomness follows from `seed`. */
struct nvc_sim *nvc_sim_new(uint64_t seed);
/* nvc_sim_free ends all connections, releases them at their services and frees the world. */
void nvc_sim_free(struct nvc_sim *sim);
/* nvc_sim_env returns an environment on the virtual clock with a random stream of its own, named `label` (for a service). */
struct nvc_env nvc_sim_env(struct nvc_sim *sim, const char *label);
/* nvc_sim_listen puts `service` (borrowed) behind `port` of every address; TLS is terminated here as the service asks. */
enum nvc_result nvc_sim_listen(
	struct nvc_sim *sim, uint16_t port, const struct nvc_service *service);
/* nvc_sim_world returns the world as hosts see it. Its wait functions run the services and move the clock. */
struct nvc_world nvc_sim_world(struct nvc_sim *sim);

#endif
