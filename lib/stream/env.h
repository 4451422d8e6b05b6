/* SPDX-License-Identifier: BSD-3-Clause */
/* Time and randomness come in from outside, so that a run can be virtual, seeded and repeatable. */
#ifndef NVC_STREAM_ENV_H
#define NVC_STREAM_ENV_H

#include "wire/bytes.h"
#include "wire/result.h"

#define NVC_MS(n)  ((uint64_t)(n)*1000000u)
#define NVC_SEC(n) ((uint64_t)(n)*1000000000u)
#define NVC_NEVER  UINT64_MAX

/* Where an engine takes time and randomness from. `now` is in nanoseconds of a clock that never goes back. */
struct nvc_env {
	void *self;
	uint64_t (*now)(void *self);
	void (*random)(void *self, uint8_t *out, size_t len);
};

/* nvc_env_now returns the time of `env` in nanoseconds. */
uint64_t nvc_env_now(const struct nvc_env *env);

/* nvc_env_random fills `out`. */
void nvc_env_random(const struct nvc_env *env, void *out, size_t len);

/* nvc_env_system returns the environment of the real world: CLOCK_MONOTONIC and RAND_bytes. */
struct nvc_env nvc_env_system(void);

/* A generator that gives the same bytes for the same (seed, label): AES-256-CTR keyed with SHA-256(seed, label). */
struct nvc_seeded;
/* nvc_seeded_new returns a generator, or NULL without memory. The caller frees it. */
struct nvc_seeded *nvc_seeded_new(uint64_t seed, const char *label);
void nvc_seeded_free(struct nvc_seeded *seeded);
/* nvc_seeded_random fills `out`; fits nvc_env.random with the generator as `self`. */
void nvc_seeded_random(void *seeded, uint8_t *out, size_t len);

#endif
