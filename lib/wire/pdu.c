/* SPDX-License-Identifier: BSD-3-Clause */
#include "wire/pdu.h"

#include <string.h>

#include "wire/crc32c.h"

/* What table 1.3 says about a type besides its header. */
enum data_use {
	DATA_NEVER,
	DATA_MAY,
	DATA_ALWAYS,
	DATA_QUOTE /* a TermReq: behind the header, PDO 0 */
};

static const struct traits {
	enum data_use data;
	bool digests;
} traits[] = {
	[NVC_PDU_IC_REQ] = {DATA_NEVER, false},
	[NVC_PDU_IC_RESP] = {DATA_NEVER, false},
	[NVC_PDU_H2C_TERM_REQ] = {DATA_QUOTE, false},
	[NVC_PDU_C2H_TERM_REQ] = {DATA_QUOTE, false},
	[NVC_PDU_CAPSULE_CMD] = {DATA_MAY, true},
	[NVC_PDU_CAPSULE_RESP] = {DATA_NEVER, true},
	[NVC_PDU_H2C_DATA] = {DATA_ALWAYS, true},
	[NVC_PDU_C2H_DATA] = {DATA_ALWAYS, true},
	[NVC_PDU_R2T] = {DATA_NEVER, true},
};

enum { FEI_TYPE = 0, FEI_FLAGS = 1, FEI_HLEN = 2, FEI_PDO = 3, FEI_PLEN = 4, MAX_PDO = 255 };

static size_t digest_len(bool on)
{
	return on ? NVC_PDU_DIGEST_LEN : 0;
}

static bool has_hdgst(uint8_t type, const struct nvc_pdu_mode *mode)
{
	return traits[type].digests && mode->hdgst;
}

static size_t data_align(const struct nvc_pdu_mode *mode)
{
	return ((size_t)mode->pda + 1) * 4;
}

/* The first offset behind header and digest that the receiver's alignment allows. */
static size_t first_pdo(uint8_t type, const struct nvc_pdu_mode *mode)
{
	size_t head = nvc_pdu_layout(type)->fixed_len + digest_len(has_hdgst(type, mode));
	size_t align = data_align(mode);

	return (head + align - 1) / align * align;
}

size_t nvc_pdu_len(const struct nvc_pdu *pdu)
{
	return MAX_PDO + pdu->data.len + NVC_PDU_DIGEST_LEN;
}

/* Where the parts of one PDU lie; 0 for a part that is absent. */
struct parts {
	size_t hdgst, pdo, ddgst, plen;
};

static enum nvc_result plan(
	const struct nvc_pdu *pdu, const struct nvc_pdu_mode *mode, struct parts *parts)
{
	uint8_t type = pdu->ch.type;
	const struct nvc_layout *layout = nvc_pdu_layout(type);

	*parts = (struct parts){0};
	if (!layout || (pdu->data.len && traits[type].data == DATA_NEVER))
		return NVC_E_INVALID;
	parts->plen = layout->fixed_len;
	if (has_hdgst(type, mode)) {
		parts->hdgst = parts->plen;
		parts->plen += NVC_PDU_DIGEST_LEN;
	}
	if (pdu->data.len && traits[type].data != DATA_QUOTE) {
		parts->pdo = first_pdo(type, mode);
		if (parts->pdo > MAX_PDO)
			return NVC_E_INVALID;
		parts->plen = parts->pdo;
	}
	parts->plen += pdu->data.len;
	if (parts->pdo && mode->ddgst) {
		parts->ddgst = parts->plen;
		parts->plen += NVC_PDU_DIGEST_LEN;
	}
	return parts->plen > UINT32_MAX ? NVC_E_INVALID : NVC_OK;
}

static bool is_digest_bend(const struct nvc_bend *bend)
{
	return bend->field &&
	       (strcmp(bend->field, "hdgst") == 0 || strcmp(bend->field, "ddgst") == 0);
}

static bool is_late_bend(const struct nvc_bend *bend)
{
	return bend->kind == NVC_BEND_TRUNCATE || bend->kind == NVC_BEND_APPEND ||
	       is_digest_bend(bend);
}

/* Bends of the header come before HDGST is computed over it, those of digests and of the whole PDU at the end. */
static enum nvc_result bend_pdu(const struct nvc_pdu *pdu, const struct parts *parts,
	const struct nvc_bends *bends, bool late, struct nvc_writer *writer, size_t start)
{
	const struct nvc_layout *layout = nvc_pdu_layout(pdu->ch.type);
	enum nvc_result result = NVC_OK;

	for (size_t i = 0; bends && i < bends->num && result == NVC_OK; i++) {
		const struct nvc_bend *bend = &bends->list[i];
		size_t place;

		if (is_late_bend(bend) != late)
			continue;
		if (bend->kind == NVC_BEND_TRUNCATE || bend->kind == NVC_BEND_APPEND || !late) {
			result = nvc_bend_apply(layout, pdu, bend, writer, start);
			continue;
		}
		place = bend->field[0] == 'h' ? parts->hdgst : parts->ddgst;
		if (place == 0 || place + NVC_PDU_DIGEST_LEN > writer->len - start)
			return NVC_E_INVALID;
		result = nvc_bend_bytes(bend, writer->data + start + place, NVC_PDU_DIGEST_LEN);
	}
	return result;
}

static void write_body(const struct nvc_pdu *pdu, const struct parts *parts,
	struct nvc_writer *writer, size_t start)
{
	if (parts->hdgst)
		nvc_write_le(writer,
			nvc_crc32c(nvc_slice_sub(nvc_writer_slice(writer), start, parts->hdgst)),
			NVC_PDU_DIGEST_LEN);
	if (parts->pdo)
		nvc_write_zeros(writer, parts->pdo - (writer->len - start));
	nvc_write_bytes(writer, pdu->data);
	if (parts->ddgst)
		nvc_write_le(writer, nvc_crc32c(pdu->data), NVC_PDU_DIGEST_LEN);
}

enum nvc_result nvc_pdu_encode(const struct nvc_pdu *pdu, const struct nvc_pdu_mode *mode,
	const struct nvc_bends *bends, struct nvc_writer *writer)
{
	struct nvc_pdu out = *pdu;
	size_t start = writer->len;
	struct parts parts;
	enum nvc_result result = plan(pdu, mode, &parts);

	if (result != NVC_OK)
		return result;
	out.ch.flags &= NVC_FLAG_LAST | NVC_FLAG_SUCCESS;
	out.ch.flags |=
		(uint8_t)((parts.hdgst ? NVC_FLAG_HDGST : 0) | (parts.ddgst ? NVC_FLAG_DDGST : 0));
	out.ch.hlen = (uint8_t)nvc_pdu_layout(pdu->ch.type)->fixed_len;
	out.ch.pdo = (uint8_t)parts.pdo;
	out.ch.plen = (uint32_t)parts.plen;
	result = nvc_encode(nvc_pdu_layout(pdu->ch.type), &out, NULL, writer);
	if (result == NVC_OK)
		result = bend_pdu(&out, &parts, bends, false, writer, start);
	if (result != NVC_OK)
		return result;
	write_body(&out, &parts, writer, start);
	if (writer->failed)
		return NVC_E_NO_SPACE;
	return bend_pdu(&out, &parts, bends, true, writer, start);
}

enum nvc_result nvc_pdu_frame(struct nvc_slice in, size_t max_plen, size_t *plen)
{
	uint64_t len;

	*plen = 0;
	if (in.len < NVC_PDU_CH_LEN)
		return NVC_E_TRUNCATED;
	len = nvc_get_le(in.data + FEI_PLEN, 4);
	if (len < NVC_PDU_CH_LEN || len > max_plen)
		return NVC_E_MALFORMED;
	if (in.len < len)
		return NVC_E_TRUNCATED;
	*plen = (size_t)len;
	return NVC_OK;
}

static enum nvc_fes invalid(uint32_t offset, uint32_t *fei)
{
	*fei = offset;
	return NVC_FES_INVALID_FIELD;
}

/* A PDO that points past PLEN is PLEN's fault when the PDO is where it belongs. */
static enum nvc_fes check_data_place(
	const struct nvc_ch *ch, size_t head, const struct nvc_pdu_mode *mode, uint32_t *fei)
{
	if (ch->pdo < head || ch->pdo % data_align(mode))
		return invalid(FEI_PDO, fei);
	if (ch->pdo + digest_len(mode->ddgst) >= ch->plen)
		return invalid(ch->pdo == first_pdo(ch->type, mode) ? FEI_PLEN : FEI_PDO, fei);
	return NVC_FES_NONE;
}

static enum nvc_fes check_place(
	const struct nvc_ch *ch, const struct nvc_pdu_mode *mode, uint32_t *fei)
{
	size_t head = nvc_pdu_layout(ch->type)->fixed_len + digest_len(has_hdgst(ch->type, mode));

	switch (traits[ch->type].data) {
	case DATA_QUOTE: /* PDO is not defined: Linux and SPDK leave it 0 */
		if (ch->plen < head || ch->plen > head + NVC_PDU_TERM_MAX_DATA)
			return invalid(FEI_PLEN, fei);
		return NVC_FES_NONE;
	case DATA_ALWAYS:
		if (ch->plen <= head)
			return invalid(FEI_PLEN, fei);
		return check_data_place(ch, head, mode, fei);
	case DATA_MAY:
		if (ch->plen > head)
			return check_data_place(ch, head, mode, fei);
		break;
	case DATA_NEVER:
		break;
	}
	if (ch->plen != head)
		return invalid(FEI_PLEN, fei);
	return ch->pdo ? invalid(FEI_PDO, fei) : NVC_FES_NONE;
}

enum nvc_fes nvc_pdu_check(const struct nvc_ch *ch, enum nvc_direction direction,
	const struct nvc_pdu_mode *mode, uint32_t *fei)
{
	const struct nvc_layout *layout = nvc_pdu_layout(ch->type);
	bool c2h = ch->type & 1; /* bit 0 of every type is its direction */
	bool hdgst, ddgst;
	enum nvc_fes fes;

	*fei = 0;
	if (!layout || c2h != (direction == NVC_C2H))
		return invalid(FEI_TYPE, fei);
	if (ch->hlen != layout->fixed_len)
		return invalid(FEI_HLEN, fei);
	hdgst = has_hdgst(ch->type, mode);
	if (hdgst != !!(ch->flags & NVC_FLAG_HDGST))
		return invalid(FEI_FLAGS, fei);
	fes = check_place(ch, mode, fei);
	if (fes != NVC_FES_NONE)
		return fes;
	ddgst = mode->ddgst && traits[ch->type].digests && ch->pdo;
	if (ddgst != !!(ch->flags & NVC_FLAG_DDGST))
		return invalid(FEI_FLAGS, fei);
	if (ch->type == NVC_PDU_C2H_DATA &&
		(ch->flags & (NVC_FLAG_SUCCESS | NVC_FLAG_LAST)) == NVC_FLAG_SUCCESS)
		return invalid(FEI_FLAGS, fei);
	return NVC_FES_NONE;
}

static enum nvc_result take_hdgst(struct nvc_slice in, const struct nvc_layout *layout,
	struct nvc_pdu *pdu, struct nvc_error *err)
{
	size_t head = layout->fixed_len;

	if (in.len < head + NVC_PDU_DIGEST_LEN)
		return nvc_fail(err, NVC_E_TRUNCATED,
			"%s: %zu bytes, no room for the header digest", layout->name, in.len);
	pdu->hdgst = (uint32_t)nvc_get_le(in.data + head, NVC_PDU_DIGEST_LEN);
	pdu->hdgst_wrong = pdu->hdgst != nvc_crc32c(nvc_slice_sub(in, 0, head));
	return NVC_OK;
}

static enum nvc_result take_data(struct nvc_slice in, const struct nvc_layout *layout,
	const struct nvc_pdu_mode *mode, struct nvc_pdu *pdu, struct nvc_error *err)
{
	size_t pdo = pdu->ch.pdo;
	size_t head = layout->fixed_len + digest_len(has_hdgst(pdu->ch.type, mode));

	if (pdo == 0 && (traits[pdu->ch.type].data == DATA_MAY || in.len == head))
		return NVC_OK; /* a data PDU without data is wrong, but plain enough to take apart */
	if (pdo < head || pdo > in.len)
		return nvc_fail(err, NVC_E_MALFORMED,
			"%s: PDO %zu, data may lie between %zu and PLEN %zu", layout->name, pdo,
			head, in.len);
	pdu->data = nvc_slice_sub(in, pdo, in.len - pdo);
	if (!mode->ddgst || pdu->data.len == 0)
		return NVC_OK;
	if (pdu->data.len < NVC_PDU_DIGEST_LEN)
		return nvc_fail(err, NVC_E_TRUNCATED,
			"%s: %zu bytes from PDO %zu, no room for the data digest", layout->name,
			pdu->data.len, pdo);
	pdu->data.len -= NVC_PDU_DIGEST_LEN;
	pdu->ddgst = (uint32_t)nvc_get_le(pdu->data.data + pdu->data.len, NVC_PDU_DIGEST_LEN);
	pdu->ddgst_wrong = pdu->ddgst != nvc_crc32c(pdu->data);
	return NVC_OK;
}

enum nvc_result nvc_pdu_decode(struct nvc_slice in, const struct nvc_pdu_mode *mode,
	struct nvc_pdu *pdu, struct nvc_error *err)
{
	const struct nvc_layout *layout;
	enum nvc_result result;
	struct nvc_ch ch;

	memset(pdu, 0, sizeof(*pdu));
	result = nvc_decode(&nvc_ch_layout, in, &ch, NULL, err);
	if (result != NVC_OK)
		return result;
	pdu->ch = ch;
	layout = nvc_pdu_layout(ch.type);
	if (!layout)
		return nvc_fail(err, NVC_E_MALFORMED, "PDU type %02xh is not defined", ch.type);
	if (in.len != ch.plen)
		return nvc_fail(err, in.len < ch.plen ? NVC_E_TRUNCATED : NVC_E_MALFORMED,
			"%s: PLEN %u and %zu bytes", layout->name, ch.plen, in.len);
	result = nvc_decode(layout, in, pdu, NULL, err);
	pdu->ch = ch;
	if (result == NVC_OK && has_hdgst(ch.type, mode))
		result = take_hdgst(in, layout, pdu, err);
	if (result != NVC_OK)
		return result;
	if (traits[ch.type].data == DATA_QUOTE)
		pdu->data = nvc_slice_sub(in, layout->fixed_len, in.len - layout->fixed_len);
	else if (traits[ch.type].data != DATA_NEVER)
		result = take_data(in, layout, mode, pdu, err);
	return result;
}
