/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a conformance case is, and how it talks to the engine. A case is data (CASE(...)) and one function; the engine
 * (harness/engine) runs each in a process of its own and merges what it reports with what Check saw of the process.
 */
#ifndef NVC_SUITES_CASE_H
#define NVC_SUITES_CASE_H

#include "catalogue/catalogue.h"
#include "host/host.h"

enum verdict {
	VERDICT_NONE = 0, /* the case has not said anything yet */
	VERDICT_PASS,
	VERDICT_WARN, /* a "should" is not met */
	VERDICT_FAIL,
	VERDICT_SKIP, /* does not apply to this target; the reason names the probe's finding */
	VERDICT_INCONCLUSIVE, /* the point under test was not reached */
	VERDICT_ERROR,	      /* the tester's own fault */
	NUM_VERDICTS
};

/* What a case needs of the target; the probe decides, and its finding becomes the reason of the skip. */
enum need {
	NEED_AUTH = 1 << 0,	 /* a host identity with a secret */
	NEED_BIDI = 1 << 1,	 /* ... and with a controller secret */
	NEED_CONCAT = 1 << 2,	 /* NEWTLSPSK is taken on the concatenation port */
	NEED_TLS_PSK = 1 << 3,	 /* a configured PSK */
	NEED_OPEN_HOST = 1 << 4, /* a host identity without secrets */
	NEED_IO = 1 << 5,	 /* a namespace that can be read */
	NEED_SIM = 1 << 6,	 /* the in-process target: virtual time, memory figures */
	NEED_ATR = 1 << 7,	 /* authentication is required of the identity (AUTHREQ is not 0) */
	NEED_IO_ATR = 1 << 8,	 /* ... on I/O queues too */
	NEED_TLS_ONLY_PORT = 1 << 9,	/* a port that requires TLS */
	NEED_PLAIN_ONLY_PORT = 1 << 10, /* a port without TLS */
	NUM_NEEDS = 11
};

/* What may become of the connection under test once the point has been made (DESIGN: the teardown verdict). */
enum teardown {
	TEARDOWN_STATED = 0, /* what the catalogue says of the first requirement */
	TEARDOWN_USABLE,     /* still open, and a command on it is answered */
	TEARDOWN_CLOSED,     /* ended by the target within the bound, by FIN, RST or close_notify */
	TEARDOWN_ANY, /* the case leaves its connection where nothing is stated; nothing is judged */
};

struct test; /* one running case: the engine's side of it */

/* One row of parameters; its name becomes part of the id ("auth.pair/sha256/ffdhe2048"). */
struct case_param {
	const char *name;
	int value[4];
};

enum { CASE_MAX_CHECKS = 6 };

struct test_case {
	const char *id;	   /* "concat.replace.repeats": stable, never reused */
	const char *title; /* one sentence: what holds when it passes */
	enum req_id checks
		[CASE_MAX_CHECKS]; /* requirements judged; the first is the one a FAIL names by default */
	unsigned int needs;	   /* enum need */
	enum teardown teardown;
	const struct case_param *params; /* ends with a NULL name; NULL: no parameters */
	unsigned int timeout_s;		 /* real seconds; 0: the default of the run */
	bool slow; /* waits long in real time: only with --slow, or where time is virtual */
	void (*run)(struct test *t, const int *param);
};

/*
 * CASE(name, .id = ..., ...) { body } defines and registers a case. In the body, `t` is the running test and `param` the four
 * integers of the parameter row (NULL without parameters).
 */
#define CASE(name, ...)                                                                            \
	static void name(struct test *t, const int *param);                                        \
	static const struct test_case case_##name = {.run = name, __VA_ARGS__};                    \
	__attribute__((constructor)) static void register_##name(void)                             \
	{                                                                                          \
		case_register(&case_##name);                                                       \
	}                                                                                          \
	static void name(struct test *t, __attribute__((unused)) const int *param)

/* case_register adds a case to the suite; CASE calls it before main. */
void case_register(const struct test_case *test_case);

/*
 * The engine's side. A verdict other than PASS stops the case: every later step is a no-op, so that cases need no
 * branches. The first such verdict wins. A case that ends without one passes, but only if it judged something.
 */

/* test_running tells whether steps still do something. */
bool test_running(const struct test *t);

/* test_step says what the case is doing, for the transcript. */
void test_step(struct test *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* test_judged records that one of the requirements has been looked at and held; `seen` is what was seen. */
void test_judged(struct test *t, enum req_id req, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* test_violated records that `req` (REQ_NONE: the first of the case) was not met: FAIL for a "shall", WARN for a "should", an
 * observation and PASS where the specification leaves it open or contradicts itself. */
void test_violated(struct test *t, enum req_id req, const char *expected, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* test_skip, test_inconclusive and test_error end the case with a reason. */
void test_skip(struct test *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
void test_inconclusive(struct test *t, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void test_error(struct test *t, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* test_answer_lost says that a connection ended where an answer was due. Linux loses AUTH_Failure1 now and then, so the engine repeats the
 * case on fresh connections; it counts as a violation of `req` only when the answer never comes. */
void test_answer_lost(struct test *t, enum req_id req, const char *expected, const char *format,
	...) __attribute__((format(printf, 4, 5)));

/* test_completion_lost says the same of a completion that is not judged, but needed to go on: INCONCLUSIVE when it never comes. */
void test_completion_lost(struct test *t, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* test_observed puts something on record which no requirement forbids (level "implementation-defined"). */
void test_observed(struct test *t, enum req_id req, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* test_watch names the connection whose end the teardown verdict is about (the last one named counts); test_watched returns it. */
void test_watch(struct test *t, struct nvc_queue *queue);
struct nvc_queue *test_watched(const struct test *t);

/* test_turned_away says that no connection came to be: unless one is watched, the teardown verdict is about how the handshake ended. */
void test_turned_away(struct test *t, enum nvc_end end);

/* test_host returns the host emulator of the case. */
struct nvc_host *test_host(struct test *t);

/* test_explains tells whether the case has failed for good and somebody is to be told why. If so, test_source adds a line to the C of a
 * case that shows the same; it goes into the verdict. */
bool test_explains(const struct test *t);
void test_source(struct test *t, const char *line);

/* test_fresh_host returns a host emulator that acts as `like` does, for trying things again: on a new target where that is in process, else
 * on the same. What it does is no evidence and in no capture. It lasts until the next one is asked for; NULL when there can be none. */
struct nvc_host *test_fresh_host(struct test *t, const struct nvc_host *like);

/* test_is_virtual tells whether time is virtual: waits cost nothing. */
bool test_is_virtual(const struct test *t);

/* test_auth returns a zeroed transaction which the engine ends and frees with the case. Never NULL. */
struct nvc_auth *test_auth(struct test *t);

/* test_end_bound is how long a target may take to end a connection, in nanoseconds. */
uint64_t test_end_bound(const struct test *t);

/* test_little_work gives each answer on `queue` a third of the run's timeout from here on: what is asked for next costs the
 * target little (no large group), and some targets never answer. Nothing changes where time is virtual. `queue` may be NULL. */
void test_little_work(struct test *t, struct nvc_queue *queue);

/* test_block_len returns the block size of namespace 1 in bytes (needs NEED_IO). */
size_t test_block_len(const struct test *t);

/* test_memory returns the bytes the in-process target holds (needs NEED_SIM). */
size_t test_memory(const struct test *t);

/* What the target asks of a host identity beside its secret. */
enum identity_policy {
	POLICY_ORDINARY =
		0, /* authentication is required of a host with a secret; concatenation is allowed */
	POLICY_CONCAT_REQUIRED, /* nothing is served without concatenation */
	POLICY_NO_CONCAT,	/* concatenation is not allowed */
	POLICY_AUTH_OPTIONAL,	/* a host with a secret may authenticate, and need not */
	NUM_POLICIES
};

/* What a case wants of the host identity it acts as; -1: do not care. */
struct identity_want {
	int hash_id, dhgid;	     /* the identity must be able to use exactly these */
	int secret_hash, secret_len; /* form of the host's secret: DHHC-1:hh, bytes */
	bool bidi;		     /* a controller secret */
	bool open;		     /* no secret at all */
	enum identity_policy policy;
	bool other; /* another identity than the one chosen last, for cases with two hosts */
};

/* want_pair is an identity for one hash and one group; want_both_ways also has a controller secret; want_secret has a host
 * secret DHHC-1:`form` of `len` bytes in both directions; want_open has no secret. */
struct identity_want want_pair(int hash_id, int dhgid);
struct identity_want want_both_ways(int hash_id, int dhgid);
struct identity_want want_secret(int form, int len);
struct identity_want want_open(void);
/* want_policy has a secret, and the policy. */
struct identity_want want_policy(enum identity_policy policy);

/* test_identity makes `host` (test_host or a second one) act as an identity of the profile that fits, and returns its index;
 * skips the case with the finding when there is none. */
int test_identity(struct test *t, struct nvc_host *host, struct identity_want want);

/*
 * test_configured_psk makes `host` act as a host with a configured PSK and derives what TLS needs of it: the identity of `version` (0 or
 * 1) and the PSK for `hash_id` (1, 2). `secret` tells whether the host shall have a DH-HMAC-CHAP secret too. Skips when there is none.
 */
void test_configured_psk(struct test *t, struct nvc_host *host, uint8_t version, uint8_t hash_id,
	bool secret, struct nvc_tls_psk *psk);

/* test_second_host returns another host emulator on the same target, for cases with two hosts; freed by the engine. */
struct nvc_host *test_second_host(struct test *t);

/* test_port_text returns the port of a kind ("concat", "tls", "plain") or NULL where the target has none. */
const char *test_port(const struct test *t, const char *kind);

#endif
