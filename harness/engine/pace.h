/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The pace of a real target: waits grow with it, and what only a wait that ran out says of a slow target is no verdict. In the
 * simulated world time passes only when nothing else can happen, so no wait is ever too short.
 */
#ifndef NVC_ENGINE_PACE_H
#define NVC_ENGINE_PACE_H

#include "harness/engine/test.h"

/* pace_wait returns `wait` (ns), made longer by what the target needed for its answers to the probe. */
uint64_t pace_wait(const struct run_config *run, uint64_t wait);

/*
 * pace_excuses tells, once a wait of the case ran out, whether the target may only have been slow: a fresh connection is not served, or not
 * promptly, or what was waited for comes now. `why` then says so.
 */
bool pace_excuses(struct test *t, char *why, size_t size);

/* pace_unopened tells whether a connection of the case was not up in its time. Nothing is left of it to look at once more, so that only a
 * new attempt tells a target that is slow from one that is silent. */
bool pace_unopened(const struct test *t);

#endif
