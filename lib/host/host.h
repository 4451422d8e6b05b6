/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The host emulator: an NVMe/TCP host that can do everything right and, on demand, anything wrong. It talks to whatever
 * `world` connects it to, a target in this process or one across the network, and knows nothing of tests.
 */
#ifndef NVC_HOST_HOST_H
#define NVC_HOST_HOST_H

#include "host/auth.h"
#include "host/command.h"
#include "host/queue.h"

/* Somebody who sees the application bytes (under TLS: in clear) of every connection. `connection` runs from 1. */
struct nvc_host_observer {
	void *self;
	void (*opened)(void *self, uint32_t connection, const char *label, bool tls, uint64_t time);
	void (*bytes)(
		void *self, uint32_t connection, bool h2c, struct nvc_slice bytes, uint64_t time);
	void (*ended)(void *self, uint32_t connection, bool h2c, enum nvc_end how, uint64_t time);
	/* Bytes of the controller were waited for, and neither they nor its end have come. */
	void (*waited)(void *self, uint32_t connection, uint64_t time);
};

/* Somebody who sees the bytes of the network (under TLS: its records) of every connection, also of one whose TLS handshake
 * fails. `number` runs from 1. `lowest` is the stream that the world connected, to be asked for its addresses. */
struct nvc_host_network {
	void *self;
	void (*opened)(void *self, uint32_t number, const struct nvc_stream *lowest,
		const struct nvc_address *to, uint64_t time);
	void (*bytes)(void *self, uint32_t number, bool h2c, struct nvc_slice bytes, uint64_t time);
	void (*ended)(void *self, uint32_t number, bool h2c, enum nvc_end how, uint64_t time);
};

/*
 * A host and the subsystem it talks to. The caller owns it, sets it up with nvc_host_init, fills what it wants and
 * ends it with nvc_host_fini. Strings and slices are borrowed. It must not be copied or moved while it has queues.
 */
struct nvc_host {
	const struct nvc_world *world;
	struct nvc_address
		addresses[NVC_NUM_PORT_KINDS]; /* port NULL: there is none of this kind */
	const char *hostnqn, *subnqn;
	uint8_t hostid[NVC_HOSTID_LEN];
	/* identity */
	bool has_host_key, has_ctrl_key;
	struct nvc_dhchap_key host_key, ctrl_key;
	/* habits */
	struct nvc_auth_offer
		offer;	  /* all hashes; NULL and all groups. NULL is left out when SC_C is not 0 */
	struct nvc_ic ic; /* PFV, HPDA, DGST and MAXR2T of ICReq: all 0 at first */
	uint8_t psdt;	  /* byte 1 of every SQE: NVC_PSDT_SGL_01B at first */
	uint32_t kato;	  /* ms, of admin queues: 120000 at first */
	uint64_t timeout; /* ns, of every call: 10 s at first */
	size_t block_len; /* bytes of a block of namespace 1, for nvc_queue_usable: 512 at first */
	struct nvc_fault_plan fault; /* all 0: none */
	/* who watches */
	struct nvc_host_observer observer;	      /* functions may be NULL */
	struct nvc_host_network network;	      /* all functions or none */
	void (*keylog)(void *self, const char *line); /* of TLS secrets and DH exponents */
	void *keylog_self;
	/* counters: set random at init, may be set afterwards */
	uint16_t next_t_id;
	uint32_t next_s2; /* never 0 */
	uint32_t num_connections;
	uint32_t num_networks; /* connections of the network, failed TLS handshakes included */
	uint32_t num_timeouts; /* waits for the controller that ran out */
	uint32_t
		num_unopened; /* ... of them those of nvc_queue_open, which leave no queue to look at again */
	/* the generated PSK in use and the one before; nvc_host_keep_psk */
	bool has_psk, has_previous_psk;
	struct nvc_tls_psk psk, previous_psk;
	/* how the last failed nvc_queue_open ended */
	enum nvc_end open_end;
	uint8_t open_alert;
	struct nvc_queue
		*queues; /* all that are not freed, newest first; the queues link themselves */
};

/* nvc_host_init makes an ordinary host in `world` (borrowed): no address, no names, no keys; counters from the world's randomness,
 * a random HOSTID that is not zero. */
void nvc_host_init(struct nvc_host *host, const struct nvc_world *world);
/* nvc_host_fini closes all queues and wipes all keys. Safe on a zeroed struct. */
void nvc_host_fini(struct nvc_host *host);
/* nvc_host_close_all closes (FIN) and frees every queue of `host`. */
void nvc_host_close_all(struct nvc_host *host);

/* nvc_host_new_t_id returns a T_ID not used before (until 65536 have been). */
uint16_t nvc_host_new_t_id(struct nvc_host *host);
/* nvc_host_new_s2 returns the next S2: one more than the last, FFFFFFFFh is followed by 1 (Base 2.2, 8.3.4.5.4). */
uint32_t nvc_host_new_s2(struct nvc_host *host);

/* nvc_host_keep_psk makes `psk` the newest one; the former newest becomes previous_psk, whose bytes are wiped. */
void nvc_host_keep_psk(struct nvc_host *host, const struct nvc_tls_psk *psk);

/* ---- secure channel concatenation and everyday roads (Base 2.2, 8.3.4.5.9; docs/protocol.md chapter 6) ---- */

/*
 * nvc_host_new_tls_psk opens a plain admin queue, authenticates with NEWTLSPSK and closes it. On success the PSK is in host->psk. `outcome` is
 * filled once the exchange began (NVC_OUTCOME_NONE before). NVC_E_REFUSED when the exchange did not end in success. `offer` NULL: that of the host.
 */
enum nvc_result nvc_host_new_tls_psk(struct nvc_host *host, enum nvc_auth_mode mode,
	const struct nvc_auth_offer *offer, struct nvc_auth_outcome *outcome,
	struct nvc_error *err);

/* nvc_host_admin_over_tls establishes an admin queue over TLS under `psk` (NULL: host->psk). No authentication on it. */
enum nvc_result nvc_host_admin_over_tls(struct nvc_host *host, const struct nvc_tls_psk *psk,
	struct nvc_queue **queue, struct nvc_error *err);

/* nvc_host_concat is new_tls_psk, admin_over_tls: the state in which REPLACETLSPSK is legal. `outcome` is that of NEWTLSPSK. */
enum nvc_result nvc_host_concat(struct nvc_host *host, enum nvc_auth_mode mode,
	const struct nvc_auth_offer *offer, struct nvc_queue **queue,
	struct nvc_auth_outcome *outcome, struct nvc_error *err);

/* nvc_host_admin establishes an admin queue (`psk` NULL: plain TCP) and authenticates on it (NOSC, `mode`) when the Connect response asks with ATR.
 * NVC_E_REFUSED when that did not succeed; `*queue` is there all the same, to be looked at. `outcome` (may be NULL) is NVC_OUTCOME_NONE when nothing was asked. */
enum nvc_result nvc_host_admin(struct nvc_host *host, const struct nvc_tls_psk *psk,
	enum nvc_auth_mode mode, struct nvc_queue **queue, struct nvc_auth_outcome *outcome,
	struct nvc_error *err);

/* nvc_host_io establishes I/O queue `qid` beside `admin` (same kind of channel: `psk` NULL is plain TCP), after CC.EN, and authenticates when asked. */
enum nvc_result nvc_host_io(struct nvc_host *host, const struct nvc_queue *admin, uint16_t qid,
	const struct nvc_tls_psk *psk, struct nvc_queue **queue, struct nvc_error *err);

#endif
