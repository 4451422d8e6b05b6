/* SPDX-License-Identifier: BSD-3-Clause */
/* The authentication messages (Base 2.2, 8.3.4.4 and 8.3.4.5; docs/protocol.md chapter 3). */
#ifndef NVC_WIRE_AUTH_H
#define NVC_WIRE_AUTH_H

#include "wire/layout.h"

enum nvc_auth_type { NVC_AUTH_COMMON = 0x00, NVC_AUTH_DHCHAP = 0x01 };

enum nvc_auth_message { /* AUTH_TYPE << 8 | AUTH_ID */
	NVC_MSG_NEGOTIATE = 0x0000,
	NVC_MSG_FAILURE2 = 0x00f0,
	NVC_MSG_FAILURE1 = 0x00f1,
	NVC_MSG_CHALLENGE = 0x0101,
	NVC_MSG_REPLY = 0x0102,
	NVC_MSG_SUCCESS1 = 0x0103,
	NVC_MSG_SUCCESS2 = 0x0104,
};

enum nvc_sc_c { NVC_SC_C_NOSC = 0, NVC_SC_C_NEWTLSPSK = 2, NVC_SC_C_REPLACETLSPSK = 3 };

enum nvc_hash { NVC_HASH_NONE = 0, NVC_HASH_SHA256 = 1, NVC_HASH_SHA384 = 2, NVC_HASH_SHA512 = 3 };

enum nvc_dhgroup {
	NVC_DH_NULL = 0,
	NVC_DH_2048 = 1,
	NVC_DH_3072 = 2,
	NVC_DH_4096 = 3,
	NVC_DH_6144 = 4,
	NVC_DH_8192 = 5,
	NVC_NUM_DHGROUPS
};

/* RCODEEX of AUTH_Failure1 and AUTH_Failure2; RCODE is always 01h. */
enum nvc_rcodeex {
	NVC_RCODEEX_FAILED = 1,
	NVC_RCODEEX_PROTOCOL = 2, /* authentication protocol not usable */
	NVC_RCODEEX_CONCAT_MISMATCH = 3,
	NVC_RCODEEX_HASH = 4,
	NVC_RCODEEX_DHGROUP = 5,
	NVC_RCODEEX_PAYLOAD = 6, /* incorrect payload */
	NVC_RCODEEX_MESSAGE = 7, /* incorrect protocol message */
};

enum {
	NVC_MAX_HASH_LEN = 64,
	NVC_MAX_DH_LEN = 1024,
	NVC_MAX_AUTH_MESSAGE = 16 + 2 * NVC_MAX_HASH_LEN + NVC_MAX_DH_LEN, /* Reply: 1168 */
	NVC_AUTH_RECEIVE_LEN = 4096,					   /* AL hosts use */
	NVC_DESCRIPTOR_LEN = 64,
	NVC_MAX_LIST = 30,
	NVC_RCODE_FAILURE = 1,
};

struct nvc_dhchap_descriptor {
	uint8_t authid;
	uint8_t halen, dhlen;
	uint8_t hash_ids[NVC_MAX_LIST]; /* unused ids 0 */
	uint8_t dh_ids[NVC_MAX_LIST];
};

struct nvc_negotiate {
	uint16_t t_id;
	uint8_t sc_c;
	uint8_t napd;
	struct nvc_slice descriptors; /* napd * 64 bytes, see nvc_dhchap_descriptor_layout */
};
struct nvc_failure { /* AUTH_Failure1 and AUTH_Failure2 */
	uint16_t t_id;
	uint8_t rcode, rcodeex;
};
struct nvc_challenge {
	uint16_t t_id;
	uint8_t hl, hash_id, dhgid;
	uint16_t dhvlen;
	uint32_t seqnum; /* S1 */
	struct nvc_slice cval, dhval;
};
struct nvc_reply {
	uint16_t t_id;
	uint8_t hl, cvalid;
	uint16_t dhvlen;
	uint32_t seqnum; /* S2 */
	struct nvc_slice rval, cval, dhval;
};
struct nvc_success1 {
	uint16_t t_id;
	uint8_t hl, rvalid;
	struct nvc_slice rval;
};
struct nvc_success2 {
	uint16_t t_id;
};

extern const struct nvc_layout nvc_negotiate_layout, nvc_dhchap_descriptor_layout,
	nvc_failure1_layout, nvc_failure2_layout, nvc_challenge_layout, nvc_reply_layout,
	nvc_success1_layout, nvc_success2_layout;

extern const struct nvc_name nvc_auth_message_names[], nvc_sc_c_names[], nvc_hash_names[],
	nvc_dhgroup_names[], nvc_rcodeex_names[];

/* nvc_auth_peek returns the AUTH_TYPE << 8 | AUTH_ID of a message and its T_ID; false when `in` is shorter than
 * the six bytes that hold them. */
bool nvc_auth_peek(struct nvc_slice in, uint16_t *message, uint16_t *t_id);

/* nvc_auth_layout returns the layout of AUTH_TYPE << 8 | AUTH_ID, or NULL for an unknown message. */
const struct nvc_layout *nvc_auth_layout(uint16_t message);

/* nvc_hash_len returns the bytes of a hash id (32, 48, 64), 0 for an id that is not defined. */
size_t nvc_hash_len(uint8_t hash_id);
/* nvc_dhgroup_len returns DHVLEN of a group id (256 .. 1024), 0 for NULL and for an id that is not defined. */
size_t nvc_dhgroup_len(uint8_t dhgid);
/* nvc_dhgroup_known tells whether `dhgid` is a defined id (NULL included). */
bool nvc_dhgroup_known(uint8_t dhgid);

/* nvc_auth_describe writes one line about any authentication message, also a broken one. Responses, challenges and
 * DH values are public on the wire and shown cut to 8 bytes. Returns `out`. */
char *nvc_auth_describe(struct nvc_slice in, char *out, size_t size);

#endif
