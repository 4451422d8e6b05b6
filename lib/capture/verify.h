/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What secrets prove about an exchange of DH-HMAC-CHAP that passed by (Base 2.2, 8.3.4.5): the responses, and the PSK that
 * a secure channel concatenation generates.
 */
#ifndef NVC_CAPTURE_VERIFY_H
#define NVC_CAPTURE_VERIFY_H

#include "capture/keylog.h"
#include "crypto/dhchap_key.h"
#include "crypto/tls_psk.h"
#include "wire/auth.h"

enum nvc_proof {
	NVC_PROOF_RIGHT,
	NVC_PROOF_WRONG,
	NVC_PROOF_UNTRANSFORMED, /* right under the secret itself, which names a transformation */
	/* from here on nothing was verified */
	NVC_PROOF_NO_SECRET,
	NVC_PROOF_NO_EXPONENT,
	NVC_PROOF_NO_NAMES,
	NVC_PROOF_UNKNOWN_PSK,
	NVC_PROOF_NO_HELLO,
	NVC_NUM_PROOFS
};

/* nvc_proof_text says why something was not verified, or that it is right or wrong. Static storage. */
const char *nvc_proof_text(enum nvc_proof proof);

/* nvc_proof_found tells whether there was anything to compare with. */
bool nvc_proof_found(enum nvc_proof proof);

/* An exchange, message by message. */
struct nvc_exchange {
	bool challenged, replied, succeeded;
	uint16_t t_id;
	uint8_t sc_c, hash_id, dhgid, cvalid, rvalid;
	uint32_t s1, s2;
	struct nvc_secret c1, c2, r1, r2;
	uint8_t dh[2][NVC_MAX_DH_LEN]; /* public values: of the controller, of the host */
	size_t dh_len[2];
	unsigned int packets[2]; /* the PDUs of Reply and Success1 */
	enum nvc_proof
		session_key; /* NVC_PROOF_RIGHT: `ks` is known, or there is none with the NULL group */
	struct nvc_secret ks;
	enum nvc_proof proofs[2]; /* of R1 and R2, as the caller found them */
};

/* nvc_exchange_negotiate begins `exchange` anew with the bytes of an AUTH_Negotiate; false when they cannot be read. The
 * three below take the messages that follow. */
bool nvc_exchange_negotiate(struct nvc_exchange *exchange, struct nvc_slice message);
bool nvc_exchange_challenge(struct nvc_exchange *exchange, struct nvc_slice message);
bool nvc_exchange_reply(struct nvc_exchange *exchange, struct nvc_slice message);
bool nvc_exchange_success1(struct nvc_exchange *exchange, struct nvc_slice message);

/* nvc_exchange_wipe overwrites what is secret in `exchange`. */
void nvc_exchange_wipe(struct nvc_exchange *exchange);

/* nvc_exchange_session_key computes Ks where `keylog` has the exponent of either side's public value. Behind the Reply. */
void nvc_exchange_session_key(struct nvc_exchange *exchange, const struct nvc_keylog *keylog);

/* The names of Connect; empty ones are not known. */
struct nvc_exchange_names {
	const char *hostnqn, *subnqn;
};

/* nvc_exchange_r1 verifies the host's response, nvc_exchange_r2 the controller's; `key` may be NULL. */
enum nvc_proof nvc_exchange_r1(const struct nvc_exchange *exchange,
	const struct nvc_exchange_names *names, const struct nvc_dhchap_key *key);
enum nvc_proof nvc_exchange_r2(const struct nvc_exchange *exchange,
	const struct nvc_exchange_names *names, const struct nvc_dhchap_key *key);

/* nvc_exchange_psk writes the generated PSK and the digest that its identity has (TCP Transport 1.1). Behind the Reply of an
 * exchange whose SC_C is not 0; NVC_PROOF_RIGHT when they are known, else both are empty. The caller wipes `psk`. */
enum nvc_proof nvc_exchange_psk(const struct nvc_exchange *exchange,
	const struct nvc_exchange_names *names, struct nvc_secret *psk,
	char digest[NVC_PSK_DIGEST_SIZE]);

#endif
