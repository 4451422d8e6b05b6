/* SPDX-License-Identifier: BSD-3-Clause */
/* What DH-HMAC-CHAP computes: session key, augmented challenges, responses (Base 2.2,
 * 8.3.4.5). */
#ifndef NVC_CRYPTO_DHCHAP_H
#define NVC_CRYPTO_DHCHAP_H

#include "crypto/secret.h"

/* Everything that enters a response. R1 takes the host's key, Ca1 and S1; R2 the controller's key,
 * Ca2 and S2. */
struct nvc_dhchap_inputs {
	uint8_t hash_id; /* negotiated */
	uint8_t sc_c;	 /* of the AUTH_Negotiate */
	uint16_t t_id;
	uint32_t seqnum;		  /* S1 or S2 */
	struct nvc_slice key;		  /* Kh or Kc, from nvc_dhchap_key_transform */
	struct nvc_slice challenge;	  /* Ca1 or Ca2, from nvc_dhchap_augment */
	struct nvc_slice hostnqn, subnqn; /* without terminators */
};

/* nvc_dhchap_session_key writes Ks = H(shared); `shared` has the length of the group's prime. */
enum nvc_result nvc_dhchap_session_key(
	uint8_t hash_id, struct nvc_slice shared, struct nvc_secret *ks);

/*
 * nvc_dhchap_augment writes Ca = HMAC(Ks, C), or Ca = C when `ks` is NULL (the NULL group). An
 * empty Ks is not the NULL group: it gives HMAC("", C), which is what an implementation computes
 * that took DHVLEN 0 for a DH group. NVC_E_NO_SPACE for a challenge above 64 bytes with the NULL
 * group.
 */
enum nvc_result nvc_dhchap_augment(uint8_t hash_id, const struct nvc_secret *ks,
	struct nvc_slice challenge, struct nvc_secret *ca);

/* nvc_dhchap_r1 writes R1 = HMAC(Kh, Ca1 S1 T_ID SC_C "HostHost" NQNh 00h NQNc), Base 2.2
 * 8.3.4.5. */
enum nvc_result nvc_dhchap_r1(const struct nvc_dhchap_inputs *in, struct nvc_secret *r1);

/* nvc_dhchap_r2 writes R2 = HMAC(Kc, Ca2 S2 T_ID SC_C "Controller" NQNc 00h NQNh), Base 2.2
 * 8.3.4.5. */
enum nvc_result nvc_dhchap_r2(const struct nvc_dhchap_inputs *in, struct nvc_secret *r2);

/*
 * The line of a key log that lets a reader of the network compute Ks: the label, SHA-256 of the public value as it is on
 * the wire, the private exponent, as the lines of TLS have their label, ClientHello.random and secret (NSS format). Readers of
 * TLS secrets pass over labels that they do not know.
 */
#define NVC_DHCHAP_EXPONENT_LABEL "NVME_DHCHAP_EXPONENT"
enum {
	NVC_DHCHAP_EXPONENT_ID_LEN = 32,
	NVC_DHCHAP_EXPONENT_LINE_SIZE = 20 + 1 + 64 + 1 + 2 * NVC_MAX_SECRET + 1,
};

/* nvc_dhchap_exponent_line writes that line with its NUL and without its end; the caller wipes `line`. NVC_E_NO_SPACE for an
 * exponent above 64 bytes, NVC_E_CRYPTO. */
enum nvc_result nvc_dhchap_exponent_line(struct nvc_slice public_value, struct nvc_slice exponent,
	char line[NVC_DHCHAP_EXPONENT_LINE_SIZE]);

/* Responses are compared with nvc_secret_equal, which takes constant time. */

#endif
