/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire/auth.h"

#include "wire/rows.h"
#include "wire/text.h"

const struct nvc_name nvc_auth_message_names[] = {
	{NVC_MSG_NEGOTIATE, "AUTH_Negotiate"},
	{NVC_MSG_FAILURE2, "AUTH_Failure2"},
	{NVC_MSG_FAILURE1, "AUTH_Failure1"},
	{NVC_MSG_CHALLENGE, "DH-HMAC-CHAP_Challenge"},
	{NVC_MSG_REPLY, "DH-HMAC-CHAP_Reply"},
	{NVC_MSG_SUCCESS1, "DH-HMAC-CHAP_Success1"},
	{NVC_MSG_SUCCESS2, "DH-HMAC-CHAP_Success2"},
	{0, NULL},
};

const struct nvc_name nvc_sc_c_names[] = {
	{NVC_SC_C_NOSC, "NOSC"},
	{NVC_SC_C_NEWTLSPSK, "NEWTLSPSK"},
	{NVC_SC_C_REPLACETLSPSK, "REPLACETLSPSK"},
	{0, NULL},
};

const struct nvc_name nvc_hash_names[] = {
	{NVC_HASH_SHA256, "SHA-256"},
	{NVC_HASH_SHA384, "SHA-384"},
	{NVC_HASH_SHA512, "SHA-512"},
	{0, NULL},
};

const struct nvc_name nvc_dhgroup_names[] = {
	{NVC_DH_NULL, "NULL"},
	{NVC_DH_2048, "ffdhe2048"},
	{NVC_DH_3072, "ffdhe3072"},
	{NVC_DH_4096, "ffdhe4096"},
	{NVC_DH_6144, "ffdhe6144"},
	{NVC_DH_8192, "ffdhe8192"},
	{0, NULL},
};

const struct nvc_name nvc_rcodeex_names[] = {
	{NVC_RCODEEX_FAILED, "authentication failed"},
	{NVC_RCODEEX_PROTOCOL, "authentication protocol not usable"},
	{NVC_RCODEEX_CONCAT_MISMATCH, "secure channel concatenation mismatch"},
	{NVC_RCODEEX_HASH, "hash function not usable"},
	{NVC_RCODEEX_DHGROUP, "DH group not usable"},
	{NVC_RCODEEX_PAYLOAD, "incorrect payload"},
	{NVC_RCODEEX_MESSAGE, "incorrect protocol message"},
	{0, NULL},
};

static const struct nvc_name rcode_names[] = {
	{NVC_RCODE_FAILURE, "authentication failure"},
	{0, NULL},
};

/* Every message begins alike: AUTH_TYPE, AUTH_ID, two reserved bytes, T_ID. */
#define MESSAGE_ROWS(type, message)                                                                \
	ROW_CONST(0, 1, "auth_type", (message) >> 8), ROW_CONST(1, 1, "auth_id", (message)&0xff),  \
		ROW_RESERVED(2, 2), ROW_UINT(4, type, t_id, "t_id", NULL)

static const struct nvc_field negotiate_rows[] = {
	MESSAGE_ROWS(struct nvc_negotiate, NVC_MSG_NEGOTIATE),
	ROW_UINT(6, struct nvc_negotiate, sc_c, "sc_c", nvc_sc_c_names),
	ROW_UINT(7, struct nvc_negotiate, napd, "napd", NULL),
	ROW_VAR(struct nvc_negotiate, descriptors, "descriptors", napd, NVC_DESCRIPTOR_LEN),
};

static const struct nvc_field descriptor_rows[] = {
	ROW_UINT(0, struct nvc_dhchap_descriptor, authid, "authid", NULL),
	ROW_RESERVED(1, 1),
	ROW_UINT(2, struct nvc_dhchap_descriptor, halen, "halen", NULL),
	ROW_UINT(3, struct nvc_dhchap_descriptor, dhlen, "dhlen", NULL),
	ROW_BYTES(4, struct nvc_dhchap_descriptor, hash_ids, "hash_ids"),
	ROW_BYTES(34, struct nvc_dhchap_descriptor, dh_ids, "dh_ids"),
};

static const struct nvc_field failure1_rows[] = {
	MESSAGE_ROWS(struct nvc_failure, NVC_MSG_FAILURE1),
	ROW_UINT(6, struct nvc_failure, rcode, "rcode", rcode_names),
	ROW_UINT(7, struct nvc_failure, rcodeex, "rcodeex", nvc_rcodeex_names),
};

static const struct nvc_field failure2_rows[] = {
	MESSAGE_ROWS(struct nvc_failure, NVC_MSG_FAILURE2),
	ROW_UINT(6, struct nvc_failure, rcode, "rcode", rcode_names),
	ROW_UINT(7, struct nvc_failure, rcodeex, "rcodeex", nvc_rcodeex_names),
};

static const struct nvc_field challenge_rows[] = {
	MESSAGE_ROWS(struct nvc_challenge, NVC_MSG_CHALLENGE),
	ROW_UINT(6, struct nvc_challenge, hl, "hl", NULL),
	ROW_RESERVED(7, 1),
	ROW_UINT(8, struct nvc_challenge, hash_id, "hash_id", nvc_hash_names),
	ROW_UINT(9, struct nvc_challenge, dhgid, "dhgid", nvc_dhgroup_names),
	ROW_UINT(10, struct nvc_challenge, dhvlen, "dhvlen", NULL),
	ROW_UINT(12, struct nvc_challenge, seqnum, "seqnum", NULL),
	ROW_VAR(struct nvc_challenge, cval, "cval", hl, 1),
	ROW_VAR(struct nvc_challenge, dhval, "dhval", dhvlen, 1),
};

static const struct nvc_field reply_rows[] = {
	MESSAGE_ROWS(struct nvc_reply, NVC_MSG_REPLY),
	ROW_UINT(6, struct nvc_reply, hl, "hl", NULL),
	ROW_RESERVED(7, 1),
	ROW_UINT(8, struct nvc_reply, cvalid, "cvalid", NULL),
	ROW_RESERVED(9, 1),
	ROW_UINT(10, struct nvc_reply, dhvlen, "dhvlen", NULL),
	ROW_UINT(12, struct nvc_reply, seqnum, "seqnum", NULL),
	ROW_VAR(struct nvc_reply, rval, "rval", hl, 1),
	ROW_VAR(struct nvc_reply, cval, "cval", hl, 1),
	ROW_VAR(struct nvc_reply, dhval, "dhval", dhvlen, 1),
};

static const struct nvc_field success1_rows[] = {
	MESSAGE_ROWS(struct nvc_success1, NVC_MSG_SUCCESS1),
	ROW_UINT(6, struct nvc_success1, hl, "hl", NULL),
	ROW_RESERVED(7, 1),
	ROW_UINT(8, struct nvc_success1, rvalid, "rvalid", NULL),
	ROW_RESERVED(9, 7),
	ROW_VAR(struct nvc_success1, rval, "rval", hl, 1),
};

static const struct nvc_field success2_rows[] = {
	MESSAGE_ROWS(struct nvc_success2, NVC_MSG_SUCCESS2),
	ROW_RESERVED(6, 10),
};

const struct nvc_layout nvc_negotiate_layout =
	LAYOUT("AUTH_Negotiate", negotiate_rows, struct nvc_negotiate, 8);
const struct nvc_layout nvc_dhchap_descriptor_layout =
	LAYOUT("DH-HMAC-CHAP", descriptor_rows, struct nvc_dhchap_descriptor, NVC_DESCRIPTOR_LEN);
const struct nvc_layout nvc_failure1_layout =
	LAYOUT("AUTH_Failure1", failure1_rows, struct nvc_failure, 8);
const struct nvc_layout nvc_failure2_layout =
	LAYOUT("AUTH_Failure2", failure2_rows, struct nvc_failure, 8);
const struct nvc_layout nvc_challenge_layout =
	LAYOUT("DH-HMAC-CHAP_Challenge", challenge_rows, struct nvc_challenge, 16);
const struct nvc_layout nvc_reply_layout =
	LAYOUT("DH-HMAC-CHAP_Reply", reply_rows, struct nvc_reply, 16);
const struct nvc_layout nvc_success1_layout =
	LAYOUT("DH-HMAC-CHAP_Success1", success1_rows, struct nvc_success1, 16);
const struct nvc_layout nvc_success2_layout =
	LAYOUT("DH-HMAC-CHAP_Success2", success2_rows, struct nvc_success2, 16);

bool nvc_auth_peek(struct nvc_slice in, uint16_t *message, uint16_t *t_id)
{
	if (in.len < 6)
		return false;
	*message = (uint16_t)(in.data[0] << 8 | in.data[1]);
	*t_id = (uint16_t)nvc_get_le(in.data + 4, 2);
	return true;
}

const struct nvc_layout *nvc_auth_layout(uint16_t message)
{
	switch (message) {
	case NVC_MSG_NEGOTIATE:
		return &nvc_negotiate_layout;
	case NVC_MSG_FAILURE2:
		return &nvc_failure2_layout;
	case NVC_MSG_FAILURE1:
		return &nvc_failure1_layout;
	case NVC_MSG_CHALLENGE:
		return &nvc_challenge_layout;
	case NVC_MSG_REPLY:
		return &nvc_reply_layout;
	case NVC_MSG_SUCCESS1:
		return &nvc_success1_layout;
	case NVC_MSG_SUCCESS2:
		return &nvc_success2_layout;
	default:
		return NULL;
	}
}

size_t nvc_hash_len(uint8_t hash_id)
{
	static const uint8_t lens[] = {
		[NVC_HASH_SHA256] = 32, [NVC_HASH_SHA384] = 48, [NVC_HASH_SHA512] = 64};

	return hash_id < sizeof(lens) ? lens[hash_id] : 0;
}

size_t nvc_dhgroup_len(uint8_t dhgid)
{
	static const uint16_t lens[NVC_NUM_DHGROUPS] = {[NVC_DH_2048] = 256,
		[NVC_DH_3072] = 384,
		[NVC_DH_4096] = 512,
		[NVC_DH_6144] = 768,
		[NVC_DH_8192] = 1024};

	return nvc_dhgroup_known(dhgid) ? lens[dhgid] : 0;
}

bool nvc_dhgroup_known(uint8_t dhgid)
{
	return dhgid < NVC_NUM_DHGROUPS;
}

static void add_ids(
	struct nvc_text *text, const char *label, const uint8_t ids[NVC_MAX_LIST], uint8_t num)
{
	nvc_text_add(text, " %s=", label);
	for (uint8_t i = 0; i < num && i < NVC_MAX_LIST; i++)
		nvc_text_add(text, "%s%u", i ? "," : "", ids[i]);
	if (num == 0)
		nvc_text_add(text, "-");
	if (num > NVC_MAX_LIST)
		nvc_text_add(text, ".. (%u)", num);
}

/* The descriptors of an AUTH_Negotiate are the offer, so they are shown in full rather than as hex. */
static void add_descriptors(struct nvc_text *text, struct nvc_slice descriptors)
{
	struct nvc_dhchap_descriptor descriptor;

	for (size_t pos = 0; pos + NVC_DESCRIPTOR_LEN <= descriptors.len;
		pos += NVC_DESCRIPTOR_LEN) {
		nvc_decode(&nvc_dhchap_descriptor_layout,
			nvc_slice_sub(descriptors, pos, NVC_DESCRIPTOR_LEN), &descriptor, NULL,
			NULL);
		nvc_text_add(text, " [authid=%u", descriptor.authid);
		add_ids(text, "hash", descriptor.hash_ids, descriptor.halen);
		add_ids(text, "dh", descriptor.dh_ids, descriptor.dhlen);
		nvc_text_add(text, "]");
	}
}

static void add_negotiate(struct nvc_text *text, const struct nvc_negotiate *negotiate)
{
	const char *name = nvc_name_of(nvc_sc_c_names, negotiate->sc_c);

	nvc_text_add(text, "AUTH_Negotiate t_id=%u sc_c=%u%s%s napd=%u", negotiate->t_id,
		negotiate->sc_c, name ? " " : "", name ? name : "", negotiate->napd);
	add_descriptors(text, negotiate->descriptors);
}

static void add_trailing(struct nvc_text *text, struct nvc_slice rest)
{
	if (rest.len)
		nvc_text_add(text, " + %zu %s", rest.len,
			nvc_slice_is_zero(rest) ? "zero bytes" : "bytes more");
}

char *nvc_auth_describe(struct nvc_slice in, char *out, size_t size)
{
	union {
		struct nvc_negotiate negotiate;
		struct nvc_failure failure;
		struct nvc_challenge challenge;
		struct nvc_reply reply;
		struct nvc_success1 success1;
		struct nvc_success2 success2;
	} body;
	struct nvc_text text = nvc_text_over(out, size);
	const struct nvc_layout *layout;
	struct nvc_error err = {0};
	uint16_t message, t_id;
	size_t num_read;

	if (!nvc_auth_peek(in, &message, &t_id)) {
		nvc_text_add(&text, "%zu bytes, no authentication message: ", in.len);
		nvc_text_hex(&text, in);
		return out;
	}
	layout = nvc_auth_layout(message);
	if (!layout) {
		nvc_text_add(&text, "unknown authentication message %04xh t_id=%u, %zu bytes",
			message, t_id, in.len);
		return out;
	}
	if (nvc_decode(layout, in, &body, &num_read, &err) != NVC_OK) {
		nvc_text_add(&text, "%s t_id=%u broken (%s)", layout->name, t_id, err.text);
		return out;
	}
	if (message == NVC_MSG_NEGOTIATE) {
		add_negotiate(&text, &body.negotiate);
	} else {
		nvc_print(layout, &body, out, size);
		nvc_text_skip(&text);
	}
	add_trailing(&text, nvc_slice_sub(in, num_read, in.len - num_read));
	return out;
}
