/* SPDX-License-Identifier: BSD-3-Clause */
/* The headers of the PDUs as tables (docs/protocol.md 1.2 to 1.7). */
#include "wire/pdu.h"
#include "wire/rows.h"

const struct nvc_name nvc_pdu_type_names[] = {
	{NVC_PDU_IC_REQ, "ICReq"},
	{NVC_PDU_IC_RESP, "ICResp"},
	{NVC_PDU_H2C_TERM_REQ, "H2CTermReq"},
	{NVC_PDU_C2H_TERM_REQ, "C2HTermReq"},
	{NVC_PDU_CAPSULE_CMD, "CapsuleCmd"},
	{NVC_PDU_CAPSULE_RESP, "CapsuleResp"},
	{NVC_PDU_H2C_DATA, "H2CData"},
	{NVC_PDU_C2H_DATA, "C2HData"},
	{NVC_PDU_R2T, "R2T"},
	{0, NULL},
};

/* FES 05h means one thing in each direction; both are a limit of the receiver. */
const struct nvc_name nvc_fes_names[] = {
	{NVC_FES_INVALID_FIELD, "invalid PDU header field"},
	{NVC_FES_SEQUENCE, "PDU sequence error"},
	{NVC_FES_HEADER_DIGEST, "header digest error"},
	{NVC_FES_OUT_OF_RANGE, "data transfer out of range"},
	{NVC_FES_LIMIT_EXCEEDED, "limit exceeded"},
	{NVC_FES_UNSUPPORTED, "unsupported parameter"},
	{0, NULL},
};

static const struct nvc_field ch_rows[] = {
	ROW_UINT(0, struct nvc_ch, type, "type", nvc_pdu_type_names),
	ROW_UINT(1, struct nvc_ch, flags, "flags", NULL),
	ROW_UINT(2, struct nvc_ch, hlen, "hlen", NULL),
	ROW_UINT(3, struct nvc_ch, pdo, "pdo", NULL),
	ROW_UINT(4, struct nvc_ch, plen, "plen", NULL),
};

const struct nvc_layout nvc_ch_layout = LAYOUT("CH", ch_rows, struct nvc_ch, NVC_PDU_CH_LEN);

#define PDU struct nvc_pdu
#define CH_ROWS                                                                                    \
	ROW_UINT(0, PDU, ch.type, "type", nvc_pdu_type_names),                                     \
		ROW_UINT(1, PDU, ch.flags, "flags", NULL),                                         \
		ROW_UINT(2, PDU, ch.hlen, "hlen", NULL), ROW_UINT(3, PDU, ch.pdo, "pdo", NULL),    \
		ROW_UINT(4, PDU, ch.plen, "plen", NULL)

static const struct nvc_field ic_req_rows[] = {
	CH_ROWS,
	ROW_UINT(8, PDU, ic.pfv, "pfv", NULL),
	ROW_UINT(10, PDU, ic.pda, "hpda", NULL),
	ROW_UINT(11, PDU, ic.dgst, "dgst", NULL),
	ROW_UINT(12, PDU, ic.max, "maxr2t", NULL),
	ROW_RESERVED(16, 112),
};

static const struct nvc_field ic_resp_rows[] = {
	CH_ROWS,
	ROW_UINT(8, PDU, ic.pfv, "pfv", NULL),
	ROW_UINT(10, PDU, ic.pda, "cpda", NULL),
	ROW_UINT(11, PDU, ic.dgst, "dgst", NULL),
	ROW_UINT(12, PDU, ic.max, "maxh2cdata", NULL),
	ROW_RESERVED(16, 112),
};

static const struct nvc_field term_rows[] = {
	CH_ROWS,
	ROW_UINT(8, PDU, term.fes, "fes", nvc_fes_names),
	ROW_UINT(10, PDU, term.fei, "fei", NULL),
	ROW_RESERVED(14, 10),
};

static const struct nvc_field cmd_rows[] = {
	CH_ROWS,
	ROW_BYTES(8, PDU, sqe, "sqe"),
};

static const struct nvc_field resp_rows[] = {
	CH_ROWS,
	ROW_BYTES(8, PDU, cqe, "cqe"),
};

static const struct nvc_field h2c_data_rows[] = {
	CH_ROWS,
	ROW_UINT(8, PDU, xfer.cccid, "cccid", NULL),
	ROW_UINT(10, PDU, xfer.ttag, "ttag", NULL),
	ROW_UINT(12, PDU, xfer.offset, "datao", NULL),
	ROW_UINT(16, PDU, xfer.length, "datal", NULL),
	ROW_RESERVED(20, 4),
};

static const struct nvc_field c2h_data_rows[] = {
	CH_ROWS,
	ROW_UINT(8, PDU, xfer.cccid, "cccid", NULL),
	ROW_RESERVED(10, 2),
	ROW_UINT(12, PDU, xfer.offset, "datao", NULL),
	ROW_UINT(16, PDU, xfer.length, "datal", NULL),
	ROW_RESERVED(20, 4),
};

static const struct nvc_field r2t_rows[] = {
	CH_ROWS,
	ROW_UINT(8, PDU, xfer.cccid, "cccid", NULL),
	ROW_UINT(10, PDU, xfer.ttag, "ttag", NULL),
	ROW_UINT(12, PDU, xfer.offset, "r2to", NULL),
	ROW_UINT(16, PDU, xfer.length, "r2tl", NULL),
	ROW_RESERVED(20, 4),
};

static const struct nvc_layout layouts[] = {
	[NVC_PDU_IC_REQ] = LAYOUT("ICReq", ic_req_rows, PDU, NVC_PDU_IC_LEN),
	[NVC_PDU_IC_RESP] = LAYOUT("ICResp", ic_resp_rows, PDU, NVC_PDU_IC_LEN),
	[NVC_PDU_H2C_TERM_REQ] = LAYOUT("H2CTermReq", term_rows, PDU, NVC_PDU_TERM_HLEN),
	[NVC_PDU_C2H_TERM_REQ] = LAYOUT("C2HTermReq", term_rows, PDU, NVC_PDU_TERM_HLEN),
	[NVC_PDU_CAPSULE_CMD] = LAYOUT("CapsuleCmd", cmd_rows, PDU, NVC_PDU_CMD_HLEN),
	[NVC_PDU_CAPSULE_RESP] = LAYOUT("CapsuleResp", resp_rows, PDU, NVC_PDU_RESP_HLEN),
	[NVC_PDU_H2C_DATA] = LAYOUT("H2CData", h2c_data_rows, PDU, NVC_PDU_DATA_HLEN),
	[NVC_PDU_C2H_DATA] = LAYOUT("C2HData", c2h_data_rows, PDU, NVC_PDU_DATA_HLEN),
	[NVC_PDU_R2T] = LAYOUT("R2T", r2t_rows, PDU, NVC_PDU_R2T_HLEN),
};

const struct nvc_layout *nvc_pdu_layout(uint8_t type)
{
	if (type >= sizeof(layouts) / sizeof(*layouts) || !layouts[type].name)
		return NULL;
	return &layouts[type];
}
