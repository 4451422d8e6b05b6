/* SPDX-License-Identifier: BSD-3-Clause */
/* One running case, inside the process Check forked for it: verdicts, evidence, hosts and (in process) the target. */
#ifndef NVC_ENGINE_TEST_H
#define NVC_ENGINE_TEST_H

#include "harness/engine/capture_out.h"
#include "harness/engine/probe.h"
#include "harness/engine/profile.h"
#include "harness/engine/reference.h"
#include "harness/engine/registry.h"
#include "harness/engine/turns.h"
#include "observer/observer.h"

/* Of which cases the conversation is told. */
enum transcript {
	TRANSCRIPT_FAIL, /* that left something to explain */
	TRANSCRIPT_ALL,
	TRANSCRIPT_NONE,
};

/* What a run is made of; read from the runner's JSON by run.c. */
struct run_config {
	bool reference; /* the in-process target; else the profile's address */
	struct profile profile;
	struct reference_options target; /* of the in-process target */
	uint64_t seed;
	uint64_t timeout; /* ns of a host call */
	unsigned int case_timeout_s;
	uint64_t
		settle; /* ns that a group of cases has to show its effect, before the target is asked */
	struct nvc_fault_plan fault;
	bool hdr_digest, data_digest;
	bool slow;    /* cases that wait long in real time run too */
	size_t batch; /* so many cases share a process */
	enum transcript transcript;
	bool reached; /* verdicts name the defects that could have changed them */
	bool has_kato;
	uint32_t kato; /* ms, of admin queues */
	struct capture_config captures;
	struct turns turns;
	struct capabilities capabilities;
};

enum { MAX_HOSTS = 4, MAX_TRANSACTIONS = 64 };

struct test {
	const struct run_config *run;
	const struct instance *instance;
	int out; /* events go here */
	bool last_attempt;
	bool shared; /* other cases use this process too: the conversation is not told, which saves a third */
	/* the verdict */
	enum verdict verdict;
	enum req_id requirement;
	char expected[320], seen[320];
	bool answer_lost;
	bool turn_missed;	   /* another engine held the identities that fit */
	unsigned int first_packet; /* of the step that was judged */
	bool judged[NUM_REQS];	   /* the requirements it came to, whatever was found */
	/* the world */
	struct reference *reference; /* NULL against a real target */
	struct nvc_seeded *random;
	struct nvc_world world;
	struct nvc_observer *observer;
	struct nvc_host hosts[MAX_HOSTS];
	size_t num_hosts;
	int identities[MAX_HOSTS]; /* index in the profile, -1: none yet */
	struct {
		bool held;
		int turn;
	} turns[PROFILE_MAX_HOSTS]; /* of the identities, by index */
	int default_identity;	    /* whose name a host has before it acts as somebody */
	struct nvc_auth *transactions;
	size_t num_transactions;
	struct nvc_queue *watched;
	enum nvc_end turned_away; /* how a handshake ended; NVC_END_OPEN: none was refused */
	/* the world of test_fresh_host */
	struct {
		struct reference *reference;
		struct nvc_world world;
		struct nvc_host host;
	} fresh;
};

/* How a case is run: its events go to `out`. */
struct test_how {
	int out;
	bool last_attempt, shared; /* as in struct test */
};

/* test_run runs the case of `instance` in this process and writes its events, the verdict last. Returns whether the verdict is neither FAIL
 * nor ERROR, for Check. */
bool test_run(const struct run_config *run, const struct instance *instance, struct test_how how);

/* verdict_name returns "pass", "warn", ... */
const char *verdict_name(enum verdict verdict);

#endif
