/* SPDX-License-Identifier: BSD-3-Clause */
#include "harness/engine/identity.h"

#include <string.h>
#include <unistd.h>

/* How long a case waits for an identity that others use. The bounds differ, so that of two cases which wait for one another one lets go
 * and begins anew. */
enum { TURN_WAIT_MS = 5000, TURN_WAIT_SPREAD_MS = 4000, TURN_POLL_MS = 5 };

static bool take_turn(struct test *t, int index)
{
	if (t->turns[index].held)
		return true;
	t->turns[index].turn = turns_take(&t->run->turns, index);
	t->turns[index].held = t->turns[index].turn != TURN_TAKEN_BY_ANOTHER;
	return t->turns[index].held;
}

static void release(struct test *t, int index)
{
	if (t->turns[index].held)
		turns_leave(t->turns[index].turn);
	t->turns[index].held = false;
}

void identity_release_all(struct test *t)
{
	for (int i = 0; i < PROFILE_MAX_HOSTS; i++)
		release(t, i);
}

/* A search among the identities that are not `busy`: the index of the best, -1 when none fits. */
typedef int search(const struct test *t, const void *wanted, const bool *busy);

/*
 * Searches until there is an identity that fits and is free, and takes its turn. -1 when none of the profile fits; when others held all that
 * fit for too long, the case is over, too (test_running is false).
 */
static int choose(struct test *t, search *find, const void *wanted)
{
	const struct nvc_world *world = &t->world;
	uint64_t patience = TURN_WAIT_MS + (uint64_t)getpid() % TURN_WAIT_SPREAD_MS;
	uint64_t deadline = nvc_env_now(&world->env) + NVC_MS(patience);

	for (;;) {
		bool busy[PROFILE_MAX_HOSTS] = {false};
		int index, first = find(t, wanted, busy);

		for (index = first; index >= 0 && !take_turn(t, index);
			index = find(t, wanted, busy))
			busy[index] = true;
		if (index >= 0 || first < 0)
			return index;
		if (nvc_env_now(&world->env) >= deadline)
			break;
		world->wait_until(world->self, nvc_env_now(&world->env) + NVC_MS(TURN_POLL_MS));
	}
	t->turn_missed = true;
	test_inconclusive(t, "other cases used every host identity that fits, for %llu ms",
		(unsigned long long)patience);
	return -1;
}

/* Cases that act as nobody in particular were written for a host like the first of the profile. */
static int find_default(const struct test *t, const void *wanted, const bool *busy)
{
	const struct profile *profile = &t->run->profile;
	const struct profile_host *first = &profile->hosts[0];

	(void)wanted;
	for (int i = 0; i < (int)profile->num_hosts; i++) {
		const struct profile_host *host = &profile->hosts[i];
		if (!busy[i] && host->policy == first->policy &&
			host->has_secret == first->has_secret &&
			host->has_ctrl_secret == first->has_ctrl_secret)
			return i;
	}
	return -1;
}

void identity_default(struct test *t)
{
	int index = choose(t, find_default, NULL);

	t->default_identity = index >= 0 ? index : 0;
}

/* The name it had by default was never used: others may have it. */
static void release_default(struct test *t)
{
	for (size_t i = 0; i < t->num_hosts; i++)
		if (t->hosts[i].num_connections || t->hosts[i].num_networks ||
			t->identities[i] == t->default_identity)
			return;
	release(t, t->default_identity);
}

static bool can_use(
	const struct test *t, const struct profile_host *host, struct identity_want want)
{
	const struct capabilities *caps = &t->run->capabilities;
	bool hash_ok = want.hash_id < 0 || host->hash_id == want.hash_id ||
		       (host->hash_id == PROFILE_ANY && caps->hashes >> want.hash_id & 1);
	bool group_ok = want.dhgid < 0 || host->dhgid == want.dhgid ||
			(host->dhgid == PROFILE_ANY && caps->dhgroups >> want.dhgid & 1);

	if (host->policy != want.policy)
		return false;
	if (host->has_secret == want.open || (want.bidi && !host->has_ctrl_secret))
		return false;
	if (want.secret_hash >= 0 && host->secret.hash_id != want.secret_hash)
		return false;
	if (want.secret_len >= 0 && host->secret.secret.len != (size_t)want.secret_len)
		return false;
	return hash_ok && group_ok;
}

static bool in_use(const struct test *t, int index)
{
	for (size_t i = 0; i < t->num_hosts; i++)
		if (t->identities[i] == index)
			return true;
	return false;
}

/* An identity the target has fixed to what is wanted is better than one that leaves it open, and one without more than is
 * wanted better than one with. */
static int find_identity(const struct test *t, const void *wanted, const bool *busy)
{
	const struct identity_want want = *(const struct identity_want *)wanted;
	const struct profile *profile = &t->run->profile;
	int best = -1, best_score = -1;

	for (size_t i = 0; i < profile->num_hosts; i++) {
		const struct profile_host *host = &profile->hosts[i];
		bool unfixed = host->hash_id == PROFILE_ANY && host->dhgid == PROFILE_ANY;
		int score = 0;
		if (busy[i] || !can_use(t, host, want) || (want.other && in_use(t, (int)i)))
			continue;
		if ((want.hash_id >= 0 || want.dhgid >= 0) ? !unfixed : unfixed)
			score += 2;
		if (host->has_ctrl_secret == want.bidi)
			score += 1;
		if (score > best_score) {
			best = (int)i;
			best_score = score;
		}
	}
	return best;
}

static void skip_identity(struct test *t, struct identity_want want)
{
	const struct capabilities *caps = &t->run->capabilities;
	const char *hash =
		want.hash_id < 0 ? "any hash" : nvc_name_of(nvc_hash_names, (uint64_t)want.hash_id);
	const char *group =
		want.dhgid < 0 ? "any group" : nvc_name_of(nvc_dhgroup_names, (uint64_t)want.dhgid);

	if (want.policy != POLICY_ORDINARY)
		test_skip(t, "no identity with the policy \"%s\" is given",
			profile_policy_name(want.policy));
	else if (want.secret_len >= 0)
		test_skip(t, "no identity with a secret DHHC-1:%02d of %d bytes is given",
			want.secret_hash, want.secret_len);
	else
		test_skip(t, "no identity for %s with %s%s; the target was seen to take %s with %s",
			hash, group, want.bidi ? " and a controller secret" : "",
			caps->hashes ? caps->hash_finding : "no hash freely",
			caps->dhgroups ? caps->dhgroup_finding : "no group freely");
}

int test_identity(struct test *t, struct nvc_host *host, struct identity_want want)
{
	int index;

	if (!test_running(t))
		return -1;
	release_default(t);
	index = choose(t, find_identity, &want);
	if (index < 0) {
		skip_identity(t, want);
		return -1;
	}
	t->identities[host - t->hosts] = index;
	probe_act_as(host, &t->run->profile, &t->run->profile.hosts[index]);
	test_step(t, "act as %s", host->hostnqn);
	return index;
}

struct psk_want {
	uint8_t hash_id;
	bool secret; /* the host has a DH-HMAC-CHAP secret, or none */
};

/* The configured PSK of the profile that fits the host; NULL when there is none. */
static const struct profile_psk *psk_of(
	const struct profile *profile, const struct profile_host *host, uint8_t hash_id)
{
	for (size_t i = 0; i < profile->num_psks; i++) {
		const struct profile_psk *psk = &profile->psks[i];
		if ((psk->key.hash_id == NVC_HASH_NONE || psk->key.hash_id == hash_id) &&
			strcmp(host->hostnqn, psk->hostnqn) == 0)
			return psk;
	}
	return NULL;
}

static int find_psk_host(const struct test *t, const void *wanted, const bool *busy)
{
	const struct psk_want *want = wanted;
	const struct profile *profile = &t->run->profile;

	for (int i = 0; i < (int)profile->num_hosts; i++)
		if (!busy[i] && profile->hosts[i].has_secret == want->secret &&
			psk_of(profile, &profile->hosts[i], want->hash_id))
			return i;
	return -1;
}

void test_configured_psk(struct test *t, struct nvc_host *host, uint8_t version, uint8_t hash_id,
	bool secret, struct nvc_tls_psk *out)
{
	const struct profile *profile = &t->run->profile;
	const struct psk_want want = {hash_id, secret};
	const struct profile_psk *configured;
	int index;

	memset(out, 0, sizeof(*out));
	if (!test_running(t))
		return;
	release_default(t);
	index = choose(t, find_psk_host, &want);
	if (index < 0) {
		test_skip(t, "no configured PSK for %s is given to a host %s a secret",
			nvc_name_of(nvc_hash_names, hash_id), secret ? "with" : "without");
		return;
	}
	configured = psk_of(profile, &profile->hosts[index], hash_id);
	t->identities[host - t->hosts] = index;
	probe_act_as(host, profile, &profile->hosts[index]);
	test_step(t, "act as %s, which has a configured PSK", host->hostnqn);
	if (profile_tls_psk(profile, configured, version, hash_id, out) != NVC_OK)
		test_error(t, "the TLS PSK cannot be derived");
}
