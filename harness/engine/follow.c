/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness/engine/follow.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { PIECE = 1 << 16, PAUSE_MS = 100, KEY_PAUSE_MS = 50 };

struct follow {
	struct nvc_replay_follow options;
	FILE *keylog;
	uint64_t deadline; /* 0: none */
	char piece[PIECE]; /* of the key log; begins with a line that was not whole */
	size_t taken, len; /* what of it has been handed over, and what is there */
};

static volatile sig_atomic_t stopped;

static void on_signal(int number)
{
	(void)number;
	stopped = 1;
}

static uint64_t now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return (uint64_t)time.tv_sec * 1000 + (uint64_t)time.tv_nsec / 1000000;
}

static void pause_ms(long ms)
{
	const struct timespec time = {.tv_nsec = ms * 1000000};

	nanosleep(&time, NULL);
}

static bool is_over(const struct follow *follow)
{
	return stopped || (follow->deadline && now_ms() >= follow->deadline);
}

static bool more(void *self, bool wait)
{
	if (wait && !is_over(self))
		pause_ms(PAUSE_MS);
	return !is_over(self);
}

/* Whole lines only: the rest waits for its end. */
static struct nvc_slice new_keys(void *self, bool wait)
{
	struct follow *follow = self;
	const char *end;

	if (wait)
		pause_ms(KEY_PAUSE_MS);
	memmove(follow->piece, follow->piece + follow->taken, follow->len - follow->taken);
	follow->len -= follow->taken;
	follow->taken = 0;
	if (follow->len == PIECE)
		follow->len = 0; /* no line is that long */
	clearerr(follow->keylog);
	follow->len += fread(follow->piece + follow->len, 1, PIECE - follow->len, follow->keylog);
	end = memrchr(follow->piece, '\n', follow->len);
	follow->taken = end ? (size_t)(end - follow->piece) + 1 : 0;
	return nvc_slice_of(follow->piece, follow->taken);
}

struct follow *follow_new(const char *keylog, size_t known, const char *interface,
	unsigned int seconds, struct nvc_error *err)
{
	const struct sigaction action = {.sa_handler = on_signal};
	struct follow *follow = calloc(1, sizeof(*follow));

	if (!follow) {
		nvc_fail(err, NVC_E_NO_MEMORY, "no memory to follow");
		return NULL;
	}
	follow->options =
		(struct nvc_replay_follow){.self = follow, .more = more, .interface = interface};
	if (keylog) {
		follow->keylog = fopen(keylog, "rb");
		if (!follow->keylog) {
			nvc_fail(err, NVC_E_INVALID, "key log %s: %s", keylog, strerror(errno));
			free(follow);
			return NULL;
		}
		fseek(follow->keylog, (long)known, SEEK_SET);
		follow->options.keys = new_keys;
	}
	if (seconds)
		follow->deadline = now_ms() + seconds * UINT64_C(1000);
	sigaction(SIGINT, &action, NULL);
	sigaction(SIGTERM, &action, NULL);
	return follow;
}

const struct nvc_replay_follow *follow_options(const struct follow *follow)
{
	return &follow->options;
}

void follow_free(struct follow *follow)
{
	if (!follow)
		return;
	if (follow->keylog)
		fclose(follow->keylog);
	explicit_bzero(follow->piece, sizeof(follow->piece));
	free(follow);
}
