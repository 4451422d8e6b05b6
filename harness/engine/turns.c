/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness/engine/turns.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

enum nvc_result turns_read(const json_t *config, struct turns *turns, struct nvc_error *err)
{
	const char *directory = json_string_value(json_object_get(config, "turns"));

	if (directory && strlen(directory) >= sizeof(turns->directory) - sizeof("/identity-000"))
		return nvc_fail(err, NVC_E_INVALID, "turns: the name of the directory is too long");
	snprintf(turns->directory, sizeof(turns->directory), "%s", directory ? directory : "");
	return NVC_OK;
}

/* Without the file nobody can agree on anything: as good as taken, so that the case says so and nothing runs unprotected. */
static int lock(const struct turns *turns, const char *name, int how)
{
	char path[sizeof(turns->directory) + 32];
	int fd;

	if (!turns->directory[0])
		return TURN_NOT_NEEDED;
	snprintf(path, sizeof(path), "%s/%s", turns->directory, name);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		return TURN_TAKEN_BY_ANOTHER;
	if (flock(fd, how) == 0)
		return fd;
	close(fd);
	return TURN_TAKEN_BY_ANOTHER;
}

int turns_take(const struct turns *turns, int index)
{
	char name[32];

	snprintf(name, sizeof(name), "identity-%d", index);
	return lock(turns, name, LOCK_EX | LOCK_NB);
}

int turns_take_any(const struct turns *turns, const struct profile *profile, int *index)
{
	int turn = TURN_TAKEN_BY_ANOTHER;

	for (*index = 0; *index < (int)profile->num_hosts; ++*index) {
		turn = turns_take(turns, *index);
		if (turn != TURN_TAKEN_BY_ANOTHER)
			return turn;
	}
	*index = -1;
	return turn;
}

int turns_enter(const struct turns *turns, bool alone)
{
	return lock(turns, "cases", alone ? LOCK_EX : LOCK_SH);
}

void turns_leave(int turn)
{
	if (turn >= 0)
		close(turn);
}
