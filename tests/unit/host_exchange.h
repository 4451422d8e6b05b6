/* SPDX-License-Identifier: BSD-3-Clause */
/* The exchanges of vectors.json, each with the host that has to speak it and the script of its controller. */
#ifndef HOST_EXCHANGE_H
#define HOST_EXCHANGE_H

#include "host_script.h"
#include "vectors.h"

enum { NUM_EXCHANGES = 17 };

/* One exchange of the vectors and the host that has to speak it. */
struct exchange {
	json_t *root;
	const json_t *entry, *messages;
	struct hexed negotiate, challenge, reply, success1, success2, c2, y;
	uint8_t sc_c, cvalid;
	uint32_t s2;
	enum nvc_auth_mode mode;
};

static inline struct exchange exchange_at(size_t index)
{
	struct exchange ex = {.root = load_vectors()};

	ex.entry = json_array_get(section_of(ex.root, "dhchap", NUM_EXCHANGES), index);
	ex.messages = json_object_get(ex.entry, "messages");
	ex.negotiate = hex_of(ex.messages, "AUTH_Negotiate");
	ex.challenge = hex_of(ex.messages, "Challenge");
	ex.reply = hex_of(ex.messages, "Reply");
	ex.success1 = hex_of(ex.messages, "Success1");
	if (json_object_get(ex.messages, "Success2") != NULL)
		ex.success2 = hex_of(ex.messages, "Success2");
	if (json_object_get(ex.entry, "y_host") != NULL &&
		json_is_string(json_object_get(ex.entry, "y_host")))
		ex.y = hex_of(ex.entry, "y_host");
	ex.sc_c = (uint8_t)number_of(ex.entry, "sc_c");
	ex.cvalid = (uint8_t)number_of(ex.entry, "cvalid");
	ex.s2 = (uint32_t)number_of(ex.entry, "s2");
	if (ex.cvalid == 0)
		ex.mode = NVC_AUTH_UNIDIRECTIONAL;
	else
		ex.mode = ex.s2 == 0 ? NVC_AUTH_CONCAT_UNI : NVC_AUTH_BIDIRECTIONAL;
	if (ex.cvalid != 0)
		ex.c2 = hex_of(ex.entry, "c2");
	return ex;
}

static inline size_t index_of(const char *name)
{
	json_t *root = load_vectors();
	json_t *section = section_of(root, "dhchap", NUM_EXCHANGES);
	size_t found = NUM_EXCHANGES;

	for (size_t i = 0; i < NUM_EXCHANGES; i++)
		if (strcmp(text_of(json_array_get(section, i), "name"), name) == 0)
			found = i;
	json_decref(root);
	ck_assert_uint_lt(found, NUM_EXCHANGES);
	return found;
}

static inline struct nvc_dhchap_key key_of(const struct exchange *ex, const char *field)
{
	struct nvc_dhchap_key key;
	struct nvc_error err = {0};

	ck_assert_msg(nvc_dhchap_key_parse(nvc_slice_str(text_of(ex->entry, field)), &key, &err) ==
			      NVC_OK,
		"%s", err.text);
	return key;
}

/* Makes the host that of the vector and prepares its transaction. */
static inline void prepare(struct stage *stage, const struct exchange *ex, struct nvc_auth *auth)
{
	stage->host.hostnqn = text_of(ex->entry, "hostnqn");
	stage->host.subnqn = text_of(ex->entry, "subnqn");
	stage->host.host_key = key_of(ex, "host_secret_text");
	stage->host.ctrl_key = key_of(ex, "ctrl_secret_text");
	stage->host.has_host_key = stage->host.has_ctrl_key = true;
	stage->host.next_t_id = (uint16_t)number_of(ex->entry, "t_id");
	stage_connect(stage);
	ck_assert_int_eq(nvc_auth_init(auth, stage->queue, ex->sc_c, ex->mode), NVC_OK);
	auth->s2 = ex->s2;
	auth->c2 = HEXED(ex->c2);
	auth->private_exponent = HEXED(ex->y);
}

static inline void finish(struct stage *stage, struct exchange *ex, struct nvc_auth *auth)
{
	nvc_auth_fini(auth);
	stage_close(stage);
	json_decref(ex->root);
}

static const uint8_t failure1_bytes[] = {0, 0xf1, 0, 0, 0x35, 0x12, 1, NVC_RCODEEX_FAILED};

/* The four lines up to Success1, which the fifth line may follow. */
#define EXCHANGE(ex)                                                                               \
	OPENING, MESSAGE(take_message, HEXED((ex).negotiate)),                                     \
		MESSAGE(give_message, HEXED((ex).challenge)),                                      \
		MESSAGE(take_message, HEXED((ex).reply)),                                          \
		MESSAGE(give_message, HEXED((ex).success1))

#endif
