/* SPDX-License-Identifier: BSD-3-Clause */
/* NVMe/TCP PDUs (TCP Transport 1.0, 3.6.2): framing, headers, digests. */
#ifndef NVC_WIRE_PDU_H
#define NVC_WIRE_PDU_H

#include "wire/layout.h"

enum nvc_pdu_type {
	NVC_PDU_IC_REQ = 0x00,
	NVC_PDU_IC_RESP = 0x01,
	NVC_PDU_H2C_TERM_REQ = 0x02,
	NVC_PDU_C2H_TERM_REQ = 0x03,
	NVC_PDU_CAPSULE_CMD = 0x04,
	NVC_PDU_CAPSULE_RESP = 0x05,
	NVC_PDU_H2C_DATA = 0x06,
	NVC_PDU_C2H_DATA = 0x07,
	NVC_PDU_R2T = 0x09,
};

enum {
	NVC_PDU_CH_LEN = 8,
	NVC_PDU_IC_LEN = 128,
	NVC_PDU_TERM_HLEN = 24,
	NVC_PDU_CMD_HLEN = 72,
	NVC_PDU_RESP_HLEN = 24,
	NVC_PDU_DATA_HLEN = 24,
	NVC_PDU_R2T_HLEN = 24,
	NVC_PDU_DIGEST_LEN = 4,
	NVC_PDU_TERM_MAX_DATA = 128,
	NVC_PDU_MAX_IN_CAPSULE = 8192, /* in-capsule data of Fabrics and admin commands */
	NVC_SQE_LEN = 64,
	NVC_CQE_LEN = 16,
};

/* FLAGS of the common header. */
enum { NVC_FLAG_HDGST = 1, NVC_FLAG_DDGST = 2, NVC_FLAG_LAST = 4, NVC_FLAG_SUCCESS = 8 };

/* DGST of ICReq and ICResp. */
enum { NVC_DGST_HEADER = 1, NVC_DGST_DATA = 2 };

/* Fatal error status of a TermReq. */
enum nvc_fes {
	NVC_FES_NONE = 0,
	NVC_FES_INVALID_FIELD = 1,
	NVC_FES_SEQUENCE = 2,
	NVC_FES_HEADER_DIGEST = 3,
	NVC_FES_OUT_OF_RANGE = 4,
	NVC_FES_LIMIT_EXCEEDED = 5,
	NVC_FES_UNSUPPORTED = 6,
};

enum nvc_direction { NVC_H2C, NVC_C2H }; /* host to controller, controller to host */

struct nvc_ch {
	uint8_t type;
	uint8_t flags;
	uint8_t hlen;
	uint8_t pdo;
	uint32_t plen;
};

struct nvc_ic { /* ICReq: hpda, maxr2t; ICResp: cpda, maxh2cdata in the same places */
	uint16_t pfv;
	uint8_t pda;
	uint8_t dgst;
	uint32_t max;
};

struct nvc_term {
	uint16_t fes;
	uint32_t fei;
};

struct nvc_data { /* H2CData, C2HData, R2T: offset is DATAO or R2TO, length DATAL or R2TL */
	uint16_t cccid;
	uint16_t ttag;
	uint32_t offset;
	uint32_t length;
};

/* One PDU. `data` is what lies at PDO (in-capsule data, DATA, or the header a TermReq quotes). */
struct nvc_pdu {
	struct nvc_ch ch;
	union {
		struct nvc_ic ic;
		struct nvc_term term;
		uint8_t sqe[NVC_SQE_LEN];
		uint8_t cqe[NVC_CQE_LEN];
		struct nvc_data xfer;
	};
	struct nvc_slice data;
	uint32_t hdgst, ddgst;	       /* as received */
	bool hdgst_wrong, ddgst_wrong; /* a digest is present and does not match */
};

/* What both sides of a connection have agreed on; the zero value is "before ICResp". */
struct nvc_pdu_mode {
	bool hdgst, ddgst;
	uint8_t pda; /* alignment the receiver asked for, 0's based dwords */
};

/* nvc_pdu_layout returns the layout of the header of `type` (common header included), or NULL. */
const struct nvc_layout *nvc_pdu_layout(uint8_t type);
extern const struct nvc_layout nvc_ch_layout;
extern const struct nvc_name nvc_pdu_type_names[];
extern const struct nvc_name nvc_fes_names[];

/* nvc_pdu_len returns the bytes nvc_pdu_encode needs for `pdu` at most. */
size_t nvc_pdu_len(const struct nvc_pdu *pdu);

/*
 * nvc_pdu_encode appends `pdu`. Of the common header only `type` and the flags LAST and SUCCESS are taken from
 * `pdu->ch`; HLEN, PDO, PLEN, digest flags, padding and digests follow from the type, `pdu->data` and `mode`.
 * `bends` name fields of the PDU header ("hlen", "plen", "cccid"), or the pseudo-fields "hdgst" and
 * "ddgst" (XOR or SET after they were computed); they are applied before HDGST is computed except for those two.
 */
enum nvc_result nvc_pdu_encode(const struct nvc_pdu *pdu, const struct nvc_pdu_mode *mode,
	const struct nvc_bends *bends, struct nvc_writer *writer);

/*
 * nvc_pdu_frame looks at the first bytes of a stream. Returns NVC_OK with the whole length of the first PDU in
 * `plen` once `in` holds it all, NVC_E_TRUNCATED while more is needed, NVC_E_MALFORMED when PLEN is below 8
 * or above `max_plen`, so that a liar cannot make the reader wait or allocate for ever.
 */
enum nvc_result nvc_pdu_frame(struct nvc_slice in, size_t max_plen, size_t *plen);

/*
 * nvc_pdu_check judges the common header of a PDU sent in `direction` against the layout of its type (table 1.3
 * and 1.7 of docs/protocol.md): unknown type or wrong direction, HLEN, PLEN, PDO, digest flags. Returns the FES
 * that a receiver sends, with FEI (byte offset of the field) in `fei`; NVC_FES_NONE when it is in order.
 */
enum nvc_fes nvc_pdu_check(const struct nvc_ch *ch, enum nvc_direction direction,
	const struct nvc_pdu_mode *mode, uint32_t *fei);

/*
 * nvc_pdu_decode decodes one whole PDU (`in` is exactly PLEN bytes). Digests that `mode` calls for are
 * verified into hdgst_wrong / ddgst_wrong, never fatally. Fails only when the PDU cannot be taken apart.
 */
enum nvc_result nvc_pdu_decode(struct nvc_slice in, const struct nvc_pdu_mode *mode,
	struct nvc_pdu *pdu, struct nvc_error *err);

/* nvc_pdu_describe writes one line for a person ("CapsuleCmd cid=3 Authentication Send ... AUTH_Negotiate t_id=...").
 * Message bodies of authentication commands are described when they are in the PDU. Returns `out`. */
char *nvc_pdu_describe(const struct nvc_pdu *pdu, char *out, size_t size);

#endif
