/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Turns: what engines that run side by side against one real target agree upon, so that no two cases act as one host identity. A
 * turn is a lock on a file in a directory that the runner made for the run; it ends with its descriptor, so a crash ends it too.
 */
#ifndef NVC_ENGINE_TURNS_H
#define NVC_ENGINE_TURNS_H

#include "harness/engine/profile.h"

/* Where the locks are; an empty name: this engine is alone, and every turn is granted without a file. */
struct turns {
	char directory[256];
};

enum { TURN_NOT_NEEDED = -1, TURN_TAKEN_BY_ANOTHER = -2 };

/* turns_read reads the member `turns` of a configuration: the name of a directory, or nothing. */
enum nvc_result turns_read(const json_t *config, struct turns *turns, struct nvc_error *err);

/* turns_take takes the turn of identity `index` without waiting: a descriptor for turns_leave, TURN_NOT_NEEDED when alone, or
 * TURN_TAKEN_BY_ANOTHER. */
int turns_take(const struct turns *turns, int index);

/* turns_take_any takes the turn of the first identity of `profile` that is free; `*index` is -1 when none is. Result as of turns_take. */
int turns_take_any(const struct turns *turns, const struct profile *profile, int *index);

/* turns_enter waits until a case may run beside others or, `alone`, until no case runs: the probe acts as several identities. Returns a
 * descriptor for turns_leave, or TURN_NOT_NEEDED. */
int turns_enter(const struct turns *turns, bool alone);

/* turns_leave ends a turn; any result of the above may be given. */
void turns_leave(int turn);

#endif
