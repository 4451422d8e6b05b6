/* SPDX-License-Identifier: BSD-3-Clause */
/* What replay remembers; for replay.c, flow.c, ports.c, responses.c, channels.c and psks.c only. */
#ifndef NVC_CAPTURE_REPLAY_STATE_H
#define NVC_CAPTURE_REPLAY_STATE_H

#include "capture/association.h"
#include "capture/reassembly.h"
#include "capture/replay.h"
#include "capture/tls13.h"
#include "capture/verify.h"

enum {
	NVC_REPLAY_NUM_PORTS = 65536,
	NVC_REPLAY_HEAD_LEN = 8,   /* of a stream, enough to tell what it is */
	NVC_REPLAY_PDUS = 1 << 16, /* PDUs whose frames are remembered */
	NVC_REPLAY_MAX_KEYS = 256, /* secrets about which it is remembered what they fit */
	NVC_REPLAY_MAX_DOUBTS = 64,
};

enum nvc_flow_kind {
	NVC_FLOW_UNKNOWN, /* its first bytes have not come */
	NVC_FLOW_PLAIN,
	NVC_FLOW_TLS,
	NVC_FLOW_FOREIGN, /* not ours */
	NVC_FLOW_GIVEN_UP,
};

/* A given secret between two names, [0] the host's or [1] the controller's, and what it has been seen to do. */
struct nvc_replay_key {
	const struct nvc_dhchap_key *key;
	uint64_t names;	     /* a hash of both */
	unsigned int proven; /* the PDU of a response that verified; 0: none did */
	bool accepted;	     /* ... and the other side took it */
};

/* A finding that holds only if the secret is theirs, which nothing has shown yet. */
struct nvc_replay_doubt {
	size_t key;
	unsigned int conn, packet;
	bool needs_accepted;			 /* that both sides have the secret */
	enum req_id reqs[2];			 /* REQ_NONE: no more */
	const char *expected, *seen, *otherwise; /* `otherwise`: what is said if nothing shows it */
};

/* Connections that were passed over as foreign, by a port that NVMe/TCP may be found on later. */
struct nvc_replay_passed {
	unsigned int conn, num; /* the first of them, and how many */
	bool in_middle;		/* the first began before the capture */
};

/* Segments that could not be read, by their ports. */
struct nvc_replay_unread {
	uint8_t ports[NVC_REPLAY_NUM_PORTS / 8];
	bool anywhere; /* one whose ports are not there */
};

struct nvc_replay_state {
	struct nvc_replay_sink sink;
	struct nvc_replay_result *result;
	struct nvc_observer *observer;
	struct nvc_reassembly *reassembly;
	struct nvc_keylog *keylog;
	struct nvc_associations *associations;
	struct nvc_flow *current; /* whose bytes or opening the observer is shown */
	const struct nvc_replay_follow *follow;
	uint64_t frame, time;
	unsigned int foreign_tls;
	unsigned int
		num_under_way; /* connections that are open when the capture ends, with something begun */
	uint8_t ports[NVC_REPLAY_NUM_PORTS / 8]; /* where NVMe/TCP was found */
	struct nvc_replay_passed passed[NVC_REPLAY_NUM_PORTS];
	struct nvc_replay_unread fragments, cut;
	uint64_t frames[NVC_REPLAY_PDUS]; /* of PDUs, by their number */
	const struct nvc_replay_identity *identities;
	size_t num_identities;
	struct nvc_replay_key keys[NVC_REPLAY_MAX_KEYS];
	size_t num_keys;
	struct nvc_replay_doubt doubts[NVC_REPLAY_MAX_DOUBTS];
	size_t num_doubts;
};

/* A connection of TCP. Side `host` is the one that asks; who that is in the middle of one the ports tell. */
struct nvc_flow {
	struct nvc_replay_state *replay;
	struct nvc_tcp_conn *conn;
	unsigned int id;
	enum nvc_flow_kind kind;
	int host;
	uint8_t head[NVC_REPLAY_HEAD_LEN];
	size_t head_len;
	struct nvc_tls13 *tls;
	bool observed; /* the observer knows it */
	bool unjudged; /* some part was not judged */
	bool ended[2], reset;
	uint64_t first_frame, first_time;
	/* what the checks know of it */
	char *hostnqn, *subnqn; /* NULL before a Connect has succeeded */
	uint16_t qid;
	struct nvc_exchange *exchange; /* NULL where none is under way */
	bool choice_taken;	       /* what ServerHello chose was looked at */
	bool generated;		       /* ... which was the identity of a generated PSK */
	unsigned int association, psk; /* its number, and that of the generated PSK used; 0: none */
	unsigned int psks_before;      /* generated when the handshake began */
};

/* nvc_replay_tell hands an event to the sink, at the current frame unless it names one. */
void nvc_replay_tell(struct nvc_replay_state *replay, struct nvc_replay_event event);

/* nvc_replay_cannot_judge says what is not judged, and that nothing is clean. */
void nvc_replay_cannot_judge(struct nvc_replay_state *replay, unsigned int conn, const char *why);

/* nvc_replay_frame returns the frame in which PDU `packet` came; of one long past the current one. */
uint64_t nvc_replay_frame(const struct nvc_replay_state *replay, unsigned int packet);

/* nvc_flow_sink returns what takes the connections that reassembly finds. */
struct nvc_reassembly_sink nvc_flow_sink(struct nvc_replay_state *replay);

/* nvc_flow_leave_out says that a part of `flow`, which holds NVMe/TCP, is not judged. */
void nvc_flow_leave_out(struct nvc_flow *flow, const char *why);

/* nvc_flow_describe adds to `event` what the connection is. The identity is valid as long as `text` is. */
void nvc_flow_describe(const struct nvc_flow *flow, struct nvc_replay_event *event,
	char text[NVC_PSK_IDENTITY_SIZE]);

/* Why a connection is not judged whose first PDUs are not in the capture. */
extern const char NVC_BEGINS_IN_MIDDLE[];

/* nvc_ports_found remembers that a controller listens on `port`. */
void nvc_ports_found(struct nvc_replay_state *replay, uint16_t port);

/* nvc_ports_have tells whether the controller's port is one of NVMe/TCP; where a connection begins in the middle either side may
 * be the controller. */
bool nvc_ports_have(const struct nvc_flow *flow);

/* nvc_ports_host returns the side that asks: who opened the connection or, in the middle of one, who is not on a port of NVMe/TCP;
 * where the ports do not tell it is `first`, which sent the first bytes. */
int nvc_ports_host(const struct nvc_flow *flow, int first);

/* nvc_ports_pass_over takes the connection for a foreign one, as nothing has said yet that it is ours. */
void nvc_ports_pass_over(struct nvc_flow *flow);

/* nvc_ports_unread remembers that a segment between `ends` could not be read; ports of 0 are not known. */
void nvc_ports_unread(struct nvc_replay_unread *unread, const struct nvc_tcp_ends *ends);

/* nvc_ports_settle says which connections that were passed over are not judged, as NVMe/TCP was found on their port later, and
 * whether segments that could not be read may be ours. */
void nvc_ports_settle(struct nvc_replay_state *replay);

/* nvc_check_say tells an event about `flow`, nvc_check_names the names of its Connect. */
void nvc_check_say(const struct nvc_flow *flow, enum nvc_replay_kind kind, const char *text);
struct nvc_exchange_names nvc_check_names(const struct nvc_flow *flow);

/* nvc_check_psk_generated books the PSK that the exchange of `flow` made, if it made one. */
void nvc_check_psk_generated(struct nvc_flow *flow);

/* nvc_check_exchange_over ends the exchange of a connection that is over. */
void nvc_check_exchange_over(struct nvc_flow *flow);

/* nvc_check_connected and _message take what the observer tells; `self` is a struct nvc_replay_state. */
void nvc_check_connected(void *self, const struct nvc_observed_connect *connect);
void nvc_check_message(void *self, const struct nvc_observed_message *message);

/* nvc_check_hellos looks at what the hellos of a TLS connection say, after each of its records. */
void nvc_check_hellos(struct nvc_flow *flow);

/* nvc_check_offer looks at the identity of a handshake that came to no choice. */
void nvc_check_offer(struct nvc_flow *flow);

/* nvc_check_closed ends what is known of `flow`. */
void nvc_check_closed(struct nvc_flow *flow);

/* nvc_check_settle says what the doubts are about that nothing has settled. */
void nvc_check_settle(struct nvc_replay_state *replay);

#endif
