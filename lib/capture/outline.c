/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages as lines of which everything is left out that differs between two conversations which are otherwise the same. */
#include <stdio.h>
#include <string.h>

#include "capture/script.h"
#include "wire/text.h"

/* Takes the words that begin with one of `names` out of a description. */
static void leave_out(char *line, const char *const *names)
{
	char *to = line;

	for (char *word = line; *word;) {
		const size_t len = strcspn(word, " ");
		const bool last = word[len] == '\0';
		bool out = false;

		for (size_t i = 0; names[i] && !out; i++)
			out = strncmp(word, names[i], strlen(names[i])) == 0;
		if (!out) {
			memmove(to, word, len);
			to += len;
			*to++ = ' ';
		}
		word += last ? len : len + 1;
	}
	if (to > line)
		to--;
	*to = '\0';
}

static const char *const fresh[] = {"CapsuleCmd", "cid=", "t_id=", "seqnum=", "cval=", "rval=",
	"dhval=", "cntlid=", "hostnqn=", "subnqn=", NULL};

static bool is_fabrics(const uint8_t sqe[NVC_SQE_LEN], uint8_t fctype)
{
	return sqe[0] == NVC_OPC_FABRICS && sqe[4] == fctype;
}

char *nvc_outline_command(const uint8_t sqe[NVC_SQE_LEN], struct nvc_slice data, bool io_queue,
	char *out, size_t size)
{
	struct nvc_pdu pdu = {.ch.type = NVC_PDU_CAPSULE_CMD, .data = data};

	memcpy(pdu.sqe, sqe, sizeof(pdu.sqe));
	if (io_queue && sqe[0] != NVC_OPC_FABRICS) {
		struct nvc_cmd_nvme fields;

		(void)nvc_decode(
			&nvc_cmd_nvme_layout, nvc_slice_of(sqe, NVC_SQE_LEN), &fields, NULL, NULL);
		snprintf(out, size, "%s nsid=%u slba=%u nlb=%u",
			nvc_cmd_name(nvc_slice_of(sqe, NVC_SQE_LEN), true), fields.nsid,
			fields.cdw10, (fields.cdw12 & 0xffff) + 1);
		return out;
	}
	nvc_pdu_describe(&pdu, out, size);
	leave_out(out, fresh);
	return out;
}

/* What of a Challenge is fresh each time must be so. */
static void add_challenge(
	struct nvc_outline *outline, const struct nvc_challenge *challenge, struct nvc_text *text)
{
	const size_t ring = sizeof(outline->c1) / sizeof(outline->c1[0]);
	uint8_t c1[NVC_MAX_HASH_LEN] = {0};
	bool seen = false;

	if (challenge->seqnum == 0)
		nvc_text_add(text, " seqnum=0");
	if (challenge->cval.len == 0)
		return;
	memcpy(c1, challenge->cval.data,
		challenge->cval.len < sizeof(c1) ? challenge->cval.len : sizeof(c1));
	for (size_t i = 0; i < outline->num_c1 && i < ring && !seen; i++)
		seen = memcmp(outline->c1[i], c1, sizeof(c1)) == 0;
	if (seen)
		nvc_text_add(text, " with the C1 of an earlier one");
	memcpy(outline->c1[outline->num_c1++ % ring], c1, sizeof(c1));
}

static size_t message_len(struct nvc_slice data)
{
	union {
		struct nvc_challenge challenge;
		struct nvc_success1 success1;
		struct nvc_failure failure;
	} fields;
	const struct nvc_layout *layout;
	uint16_t message, t_id;
	size_t len = data.len;

	layout = nvc_auth_peek(data, &message, &t_id) ? nvc_auth_layout(message) : NULL;
	if (layout != &nvc_challenge_layout && layout != &nvc_success1_layout &&
		layout != &nvc_failure1_layout)
		return data.len;
	return nvc_decode(layout, data, &fields, &len, NULL) == NVC_OK ? len : data.len;
}

/* Linux closes so fast behind AUTH_Failure1 that its response capsule is lost now and then. */
static bool is_failure1(struct nvc_slice data)
{
	uint16_t message, t_id;

	return nvc_auth_peek(data, &message, &t_id) && message == NVC_MSG_FAILURE1;
}

static void add_message(
	struct nvc_outline *outline, struct nvc_slice data, long expected, struct nvc_text *text)
{
	struct nvc_challenge challenge;
	uint16_t message = 0, t_id = 0;
	char line[320];

	/* How far a controller fills the buffer is its own affair; what lies behind the message the observer judges. */
	nvc_auth_describe(nvc_slice_sub(data, 0, message_len(data)), line, sizeof(line));
	leave_out(line, fresh);
	nvc_text_add(text, "%s", line);
	if (!nvc_auth_peek(data, &message, &t_id))
		return;
	if (expected >= 0 && t_id != expected)
		nvc_text_add(text, " with another T_ID");
	if (message == NVC_MSG_CHALLENGE &&
		nvc_decode(&nvc_challenge_layout, data, &challenge, NULL, NULL) == NVC_OK)
		add_challenge(outline, &challenge, text);
}

static void add_result(
	const uint8_t sqe[NVC_SQE_LEN], const struct nvc_cqe *cqe, struct nvc_text *text)
{
	if (is_fabrics(sqe, NVC_FCTYPE_CONNECT) && nvc_cqe_status(cqe->status_field) == 0)
		nvc_text_add(text, " ATR=%d ASCR=%d", (cqe->result & NVC_CONNECT_ATR) != 0,
			(cqe->result & NVC_CONNECT_ASCR) != 0);
}

char *nvc_outline_answer(struct nvc_outline *outline, const uint8_t sqe[NVC_SQE_LEN],
	const struct nvc_cqe *cqe, struct nvc_slice data, long t_id, char *out, size_t size)
{
	struct nvc_text text = nvc_text_over(out, size);
	const uint16_t status = cqe ? nvc_cqe_status(cqe->status_field) : 0;

	if (data.len && is_fabrics(sqe, NVC_FCTYPE_AUTH_RECEIVE))
		add_message(outline, data, t_id, &text);
	else if (data.len)
		nvc_text_add(&text, "%zu bytes of data", data.len);
	if (!cqe && !is_failure1(data))
		nvc_text_add(&text, "%sno response capsule", data.len ? ", " : "");
	else if (cqe && (status || !data.len))
		nvc_text_add(&text, "%sstatus=%03xh %s", data.len ? ", " : "", status,
			nvc_status_name(status));
	if (cqe)
		add_result(sqe, cqe, &text);
	return out;
}

char *nvc_outline_ic_resp(const struct nvc_ic *ic, char *out, size_t size)
{
	/* How much the controller takes at once is its own affair. */
	snprintf(out, size, "ICResp pfv=%u cpda=%u dgst=%u", ic->pfv, ic->pda, ic->dgst);
	return out;
}

char *nvc_outline_term(const struct nvc_term *term, char *out, size_t size)
{
	const char *name = nvc_name_of(nvc_fes_names, term->fes);

	snprintf(out, size, "C2HTermReq fes=%02xh %s", term->fes, name ? name : "reserved");
	return out;
}
