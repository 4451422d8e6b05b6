/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The reference target: the controller side of NVMe/TCP with in-band authentication, TLS PSK and secure channel
 * concatenation, small enough to be read. It is a service (stream/service.h): bytes in, bytes out, no socket,
 * no clock, no random device of its own.
 *
 * Every validation, outgoing field and teardown step is a rule (target/rules.def) that cites its requirement. A
 * defect breaks one rule: that is how the suite proves that its cases can fail.
 */
#ifndef NVC_TARGET_TARGET_H
#define NVC_TARGET_TARGET_H

#include "crypto/dhchap_key.h"
#include "crypto/tls_psk.h"
#include "stream/service.h"

struct nvc_target;

enum nvc_policy { NVC_POLICY_DISABLED = 0, NVC_POLICY_PERMITTED, NVC_POLICY_REQUIRED };

/* A configured PSK between a host and a subsystem; its identities of version 0 and 1 are both accepted. */
struct nvc_target_psk {
	const char *subnqn; /* NULL: every subsystem of the target */
	struct nvc_tls_key key;
};

/* What the target knows of one host. */
struct nvc_target_host {
	const char *hostnqn;
	const char *subnqn;		      /* the rows for one subsystem only; NULL: for all */
	struct nvc_dhchap_key host_key;	      /* proves the host (R1); secret.len 0: none */
	struct nvc_dhchap_key controller_key; /* proves the controller (R2); secret.len 0: none */
	uint32_t hashes;		      /* bit 1 << hash id; 0: all three */
	uint32_t dhgroups;		      /* bit 1 << group id, bit 0 is NULL; 0: all six */
	enum nvc_policy auth;		      /* PERMITTED and REQUIRED need host_key */
	enum nvc_policy concat;		      /* secure channel concatenation */
	const struct nvc_target_psk *psks;
	size_t num_psks;
};

struct nvc_target_subsystem {
	const char *nqn;
	bool discovery;
	bool allow_any_host; /* hosts without a row are served, without authentication */
	uint32_t num_blocks; /* of the one namespace; 0: 2048 */
	uint32_t block_size; /* 512 or 4096; 0: 512 */
};

/* A local port as the server or simulated world numbers it, and how the discovery log speaks of it. */
struct nvc_target_port {
	uint16_t port; /* 0 matches what no other row does */
	enum nvc_tls_policy tls;
	const char *traddr, *trsvcid; /* NULL: "127.0.0.1" and the decimal `port` (4420 for 0) */
};

/*
 * Everything a target is made of. nvc_target_new copies it all. Zero means the default in every number.
 * Without a port row the target has one permissive one (NVC_TLS_PERMITTED).
 */
struct nvc_target_config {
	const struct nvc_target_subsystem *subsystems;
	size_t num_subsystems;
	const struct nvc_target_host *hosts;
	size_t num_hosts;
	const struct nvc_target_port *ports;
	size_t num_ports;

	uint32_t kato_max;   /* ms; Connect and Set Features above it are cut to it; 0: no limit */
	uint32_t maxh2cdata; /* bytes, multiple of 4; 0: 16384 */
	uint32_t max_c2h_data; /* DATA of one C2HData, bytes, multiple of 4; 0: 8192 */
	uint8_t cpda;	       /* 0's based dwords, 0 to 31 */
	uint32_t psk_lifetime; /* seconds a generated PSK can be used; 0: 3600 */
	uint32_t
		auth_start_wait; /* ms from a Connect that answered ATR or ASCR to AUTH_Negotiate; 0: KATO or 120 s */
	uint16_t max_queues;	  /* I/O queues of a controller; 0: 16 */
	uint32_t max_controllers; /* 0: 1024 */
	uint32_t max_psks;	  /* generated PSKs held at once, the oldest goes first; 0: 256 */

	/* Says in one line why the target did what a host may wonder about: "AUTH_Failure1 03h: REPLACETLSPSK
	 * without TLS". Holds no secret. NULL: silence. */
	void (*log)(void *self, const char *text);
	void *log_self;
	/* Takes the private exponent of each Challenge as a line of a key log (crypto/dhchap.h), which lets its readers verify the
	 * responses. NULL: nobody gets it. */
	void (*keylog)(void *self, const char *line);
	void *keylog_self;
};

/*
 * nvc_target_new makes a target of `config` (copied) in `env` (copied; its `self` must outlive the target).
 * Returns NULL with a diagnosis in `err` (may be NULL) for a configuration that contradicts itself. Freed by
 * nvc_target_free.
 */
struct nvc_target *nvc_target_new(
	const struct nvc_target_config *config, const struct nvc_env *env, struct nvc_error *err);

/* nvc_target_free releases all connections and wipes all keys; NULL is allowed. The world or server that holds the
 * service must be gone before. */
void nvc_target_free(struct nvc_target *target);

/* nvc_target_service returns the service of `target`, valid as long as the target. */
const struct nvc_service *nvc_target_service(struct nvc_target *target);

/* ---- defects ---- */

struct nvc_target_defect {
	const char *name; /* "free-sq-on-success", "skip:success1-forget-ks", "off:reply-hl" */
	const char *text; /* one line: what is wrong */
	const char *requirement; /* id of the catalogue, "C-205" */
	const char *origin;	 /* row of the bug catalogue, "A01", or "generated" */
	const char *rule;	 /* the rule it breaks, "forget-tls-identity-on-success" */
};

/* nvc_target_num_defects returns how many defects there are, the hand-named ones first. */
size_t nvc_target_num_defects(void);

/* nvc_target_defect_at returns defect `index` (below nvc_target_num_defects) in `out`. The strings are static. */
bool nvc_target_defect_at(size_t index, struct nvc_target_defect *out);

/* nvc_target_set_defect breaks the rule of defect `name` from now on; several may be set. NVC_E_INVALID for an
 * unknown name, with the nearest known one in `err` (may be NULL). */
enum nvc_result nvc_target_set_defect(
	struct nvc_target *target, const char *name, struct nvc_error *err);

/* nvc_target_defect_reached tells whether `target` has gone by a row that defect `index` breaks, since it was made. As long as it has
 * not, a target with that defect and the same randomness would have sent the same bytes. */
bool nvc_target_defect_reached(const struct nvc_target *target, size_t index);

/* ---- what tests look at ---- */

struct nvc_target_counters {
	size_t connections;   /* open now */
	size_t controllers;   /* alive now */
	size_t psks;	      /* generated PSKs held */
	size_t transactions;  /* authentication transactions in progress */
	size_t authenticated; /* transactions that ended well, ever */
	size_t failed;	      /* AUTH_Failure1 sent, ever */
	size_t memory;	      /* bytes, as the service reports */
};

/* nvc_target_counters returns a snapshot. */
struct nvc_target_counters nvc_target_counters(const struct nvc_target *target);

#endif
