/* SPDX-License-Identifier: BSD-3-Clause */
/* Which steps follow from a seed, and which of them are needed. */
#include "suites/walk.h"

#include <string.h>

#include "wire/command.h"
#include "wire/pdu.h"

/* splitmix64: a walk has to be the same on every machine and for ever, and needs no better randomness. */
static uint64_t next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15u;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
	z = (z ^ z >> 27) * 0x94d049bb133111ebu;
	return z ^ z >> 31;
}

static uint32_t below(uint64_t *state, size_t bound)
{
	return (uint32_t)(next(state) % bound);
}

static bool one_in(uint64_t *state, uint32_t n)
{
	return below(state, n) == 0;
}

/* Where a connection would be had the target taken every step as it should. Steps drawn at random alone would hardly
 * ever come past Connect, so most are the next one of the road. */
enum position {
	AWAY,
	OPENED,
	INITIALISED,
	CONNECTED,
	OFFERED,
	CHALLENGED,
	REPLIED,
	ANSWERED,
	LET_IN,
	INSIDE,
	REFUSED
};

struct generator {
	uint64_t state;
	enum walk_slot slot;
	struct {
		enum position position;
		bool two_way, wrong, concat;
	} at[NUM_WALK_SLOTS];
};

static const struct {
	enum walk_kind kind;
	enum position then;
} road[] = {
	[AWAY] = {WALK_OPEN, CONNECTED},
	[OPENED] = {WALK_IC, INITIALISED},
	[INITIALISED] = {WALK_CONNECT, CONNECTED},
	[CONNECTED] = {WALK_NEGOTIATE, OFFERED},
	[OFFERED] = {WALK_RECEIVE, CHALLENGED},
	[CHALLENGED] = {WALK_REPLY, REPLIED},
	[REPLIED] = {WALK_RECEIVE, LET_IN},
	[ANSWERED] = {WALK_SUCCESS2, LET_IN},
	[LET_IN] = {WALK_PROPERTY_SET, INSIDE},
	[INSIDE] = {WALK_PROPERTY_SET, INSIDE},
	[REFUSED] = {WALK_RECEIVE, AWAY},
};

/* What a walk does off the road, and inside: a kind as often as it stands here. */
static const enum walk_kind detours[] = {WALK_OPEN, WALK_OPEN_BARE, WALK_OPEN_UNDUE, WALK_IC,
	WALK_CONNECT, WALK_NEGOTIATE, WALK_NEGOTIATE, WALK_RECEIVE, WALK_RECEIVE, WALK_REPLY,
	WALK_REPLY_BYTES, WALK_REPLY_BYTES, WALK_SUCCESS2, WALK_SUCCESS2, WALK_FAILURE2, WALK_PDU,
	WALK_PDU, WALK_PROPERTY_GET, WALK_PROPERTY_SET, WALK_PROPERTY_SET, WALK_IDENTIFY,
	WALK_IDENTIFY, WALK_KEEP_ALIVE, WALK_READ, WALK_READ, WALK_CLOSE, WALK_WAIT};
static const enum walk_kind strolls[] = {WALK_PROPERTY_SET, WALK_IDENTIFY, WALK_READ, WALK_READ,
	WALK_NEGOTIATE, WALK_NEGOTIATE, WALK_KEEP_ALIVE, WALK_CLOSE};

static const enum walk_kind stumbles[] = {WALK_SUCCESS2, WALK_REPLY_BYTES};

#define ONE_OF(state, array) ((array)[below(state, sizeof(array) / sizeof(*(array)))])

/* A field of `layout` by name, bent; values near the ends of the field are the likely ones. */
static void bend_any(uint64_t *state, const struct nvc_layout *layout, struct nvc_bend *bend)
{
	static const uint64_t values[] = {0, 0, 1, 2, 4, 32, 48, 64, 255, 256, 0xffff, 0xffffffff};

	*bend = (struct nvc_bend){.field = layout->fields[below(state, layout->num_fields)].name,
		.kind = NVC_BEND_SET,
		.value = ONE_OF(state, values)};
	if (one_in(state, 3)) {
		bend->kind = NVC_BEND_XOR;
		bend->value = 1 + below(state, 255);
	} else if (one_in(state, 6)) {
		bend->kind = NVC_BEND_TRUNCATE;
		bend->value = below(state, layout->fixed_len + 64);
	}
}

static void fill_offer(struct generator *g, struct walk_step *step)
{
	step->offer = NVC_OFFER(NVC_HASH_SHA256, NVC_DH_2048);
	if (one_in(&g->state, 8)) {
		step->offer.num_hashes = (uint8_t)(1 + below(&g->state, 4));
		step->offer.num_dhgroups = (uint8_t)(1 + below(&g->state, 4));
		for (size_t i = 0; i < 4; i++) {
			/* one id more than there are; the largest groups cost too much time to be drawn */
			step->offer.hash_ids[i] = (uint8_t)below(&g->state, 5);
			step->offer.dh_ids[i] = (uint8_t)below(&g->state, 3);
		}
	}
}

static void fill_negotiate(struct generator *g, struct walk_step *step)
{
	static const enum nvc_auth_mode modes[] = {NVC_AUTH_UNIDIRECTIONAL, NVC_AUTH_UNIDIRECTIONAL,
		NVC_AUTH_BIDIRECTIONAL, NVC_AUTH_CONCAT_UNI};

	fill_offer(g, step);
	step->mode = ONE_OF(&g->state, modes);
	if (step->slot == WALK_TLS && one_in(&g->state, 2))
		step->value = NVC_SC_C_REPLACETLSPSK;
	else if (step->slot == WALK_ADMIN && one_in(&g->state, 2))
		step->value = NVC_SC_C_NEWTLSPSK;
	else if (one_in(&g->state, 10))
		step->value = below(&g->state, 5);
	if (step->value != NVC_SC_C_NOSC && step->mode == NVC_AUTH_UNIDIRECTIONAL)
		step->mode = NVC_AUTH_CONCAT_UNI;
	if (!one_in(&g->state, 8))
		return;
	step->of_descriptor = one_in(&g->state, 2);
	bend_any(&g->state,
		step->of_descriptor ? &nvc_dhchap_descriptor_layout : &nvc_negotiate_layout,
		&step->bend);
	if (step->of_descriptor && step->bend.kind == NVC_BEND_TRUNCATE)
		step->bend.value %= NVC_DESCRIPTOR_LEN;
}

static void fill_reply(struct generator *g, struct walk_step *step)
{
	static const char *const lengths[] = {"hl", "hl", "t_id", "dhvlen"};

	if (one_in(&g->state, 2))
		return;
	switch (below(&g->state, 5)) {
	case 0:
		step->r1 = (enum nvc_r1_kind)(NVC_R1_FLIPPED + below(&g->state, 2));
		break;
	case 1:
		step->r1 = (enum nvc_r1_kind)(
			NVC_R1_RANDOM_KEY +
			below(&g->state, NVC_R1_OTHER_S1 - NVC_R1_RANDOM_KEY + 1));
		break;
	case 2:
		bend_any(&g->state, &nvc_reply_layout, &step->bend);
		if (one_in(&g->state, 2))
			step->r1 = NVC_R1_FLIPPED;
		break;
	default: /* the fields by which everything else is found */
		step->bend = (struct nvc_bend){.field = ONE_OF(&g->state, lengths)};
	}
}

static void fill_connect(struct generator *g, struct walk_step *step)
{
	/* The opcode is not among them: what is sent is always a Connect. */
	static const char *const fields[] = {"qid", "sqsize", "cattr", "kato", "recfmt"};
	static const uint64_t values[] = {0, 1, 2, 31, 0xff, 0xffff, 0xffffffff};

	if (one_in(&g->state, 4))
		step->bend = (struct nvc_bend){.field = ONE_OF(&g->state, fields),
			.kind = NVC_BEND_SET,
			.value = ONE_OF(&g->state, values)};
}

static void fill_bytes(struct generator *g, struct walk_step *step)
{
	step->seed = (uint32_t)next(&g->state);
	step->len = NVC_PDU_CH_LEN + below(&g->state, WALK_MAX_BYTES - NVC_PDU_CH_LEN);
	if (step->kind == WALK_PDU)
		step->value =
			one_in(&g->state, 2) ? step->len : below(&g->state, 2 * WALK_MAX_BYTES);
}

static void fill(struct generator *g, struct walk_step *step)
{
	static const uint32_t lengths[] = {0, 1, 15, 16, 17, 48, 512, NVC_AUTH_RECEIVE_LEN};
	static const uint32_t configurations[] = {NVC_CC_ENABLE, NVC_CC_ENABLE, NVC_CC_ENABLE,
		NVC_CC_ENABLE, NVC_CC_ENABLE, 0, NVC_CC_ENABLE | 1u << 14, 0xffffffff};

	switch (step->kind) {
	case WALK_CONNECT:
		fill_connect(g, step);
		break;
	case WALK_NEGOTIATE:
		fill_negotiate(g, step);
		break;
	case WALK_REPLY:
		fill_reply(g, step);
		break;
	case WALK_REPLY_BYTES:
	case WALK_PDU:
		fill_bytes(g, step);
		break;
	case WALK_RECEIVE:
		step->value =
			one_in(&g->state, 8) ? ONE_OF(&g->state, lengths) : NVC_AUTH_RECEIVE_LEN;
		break;
	case WALK_FAILURE2:
		step->value = below(&g->state, 9);
		break;
	case WALK_PROPERTY_SET:
		step->value = ONE_OF(&g->state, configurations);
		break;
	case WALK_CLOSE:
		step->value = one_in(&g->state, 2) ? NVC_END_FIN : NVC_END_RST;
		break;
	case WALK_WAIT:
		step->value = below(&g->state, WALK_MAX_WAIT);
		break;
	default:
		break;
	}
}

/* Where a step off the road leaves its connection. */
static enum position after_detour(enum position before, enum walk_kind kind)
{
	const bool inside = before == LET_IN || before == INSIDE;

	switch (kind) {
	case WALK_OPEN:
		return CONNECTED;
	case WALK_OPEN_BARE:
		return OPENED;
	case WALK_NEGOTIATE:
		return inside || before == CONNECTED ? OFFERED : REFUSED;
	case WALK_RECEIVE:
		return inside ? INSIDE : REFUSED;
	case WALK_REPLY:
	case WALK_REPLY_BYTES:
	case WALK_SUCCESS2:
		return inside || before <= INITIALISED ? before : REFUSED;
	case WALK_FAILURE2:
	case WALK_PDU:
	case WALK_CLOSE:
	case WALK_IC:
	case WALK_CONNECT:
		return AWAY;
	default:
		return before;
	}
}

/* Inside, the next thing may be another connection: I/O beside it, or TLS under the PSK that has been agreed on. */
static enum walk_slot wander(struct generator *g)
{
	const bool inside = g->at[g->slot].position == INSIDE;

	/* A queue beside the first may never have come up. */
	if (g->slot != WALK_ADMIN)
		return one_in(&g->state, inside ? 3 : 8) ? WALK_ADMIN : g->slot;
	if (!inside || !one_in(&g->state, 3))
		return g->slot;
	return g->at[WALK_ADMIN].concat ? WALK_TLS : WALK_IO;
}

static void take_road(struct generator *g, struct walk_step *step)
{
	enum position before = g->at[g->slot].position;

	/* What a right Reply has earned is lost again by the next wrong message. */
	if (before == REPLIED && !g->at[g->slot].wrong && one_in(&g->state, 4)) {
		step->kind = ONE_OF(&g->state, stumbles);
		g->at[g->slot].position = REFUSED;
		return;
	}
	if (before == ANSWERED && one_in(&g->state, 4)) {
		step->kind = WALK_CLOSE;
		g->at[g->slot].position = AWAY;
		return;
	}
	/* What stands before the data: a Read on a queue that has not authenticated, and on one that has. */
	if (g->slot == WALK_IO &&
		(before == LET_IN || (before == CONNECTED && one_in(&g->state, 3)))) {
		step->kind = WALK_READ;
		g->at[g->slot].position = before == LET_IN ? INSIDE : before;
		return;
	}
	step->kind = before == INSIDE ? ONE_OF(&g->state, strolls) : road[before].kind;
	g->at[g->slot].position =
		before == INSIDE ? after_detour(before, step->kind) : road[before].then;
	if (before == REPLIED && g->at[g->slot].wrong)
		g->at[g->slot].position = AWAY;
	else if (before == REPLIED && g->at[g->slot].two_way)
		g->at[g->slot].position = ANSWERED;
}

bool walk_bends(const struct walk_step *step)
{
	return step->bend.field != NULL;
}

static void draw(struct generator *g, struct walk_step *step)
{
	bool refused;

	*step = (struct walk_step){.slot = g->slot};
	if (one_in(&g->state, 5)) {
		step->kind = ONE_OF(&g->state, detours);
		g->at[g->slot].position = after_detour(g->at[g->slot].position, step->kind);
	} else {
		take_road(g, step);
	}
	fill(g, step);
	if (step->kind == WALK_NEGOTIATE) {
		g->at[g->slot].two_way = step->mode == NVC_AUTH_BIDIRECTIONAL;
		g->at[g->slot].concat =
			step->value == NVC_SC_C_NEWTLSPSK || step->value == NVC_SC_C_REPLACETLSPSK;
	}
	if (step->kind == WALK_REPLY)
		g->at[g->slot].wrong = walk_bends(step) || step->r1 != NVC_R1_RIGHT;
	refused = step->kind == WALK_RECEIVE && g->at[g->slot].position == AWAY;
	if (!refused)
		g->slot = wander(g);
}

void walk_generate(uint64_t seed, struct walk_step *steps, size_t num)
{
	struct generator g = {.state = seed};

	for (size_t i = 0; i < num; i++) {
		const enum walk_slot slot = g.slot;

		draw(&g, &steps[i]);
		/* What a refused transaction would have agreed on is tried at once, as long as it is the latest. */
		if (steps[i].kind == WALK_RECEIVE && g.at[slot].position == AWAY &&
			g.at[slot].concat && i + 1 < num) {
			i++;
			steps[i] = (struct walk_step){.kind = WALK_OPEN_UNDUE, .slot = slot};
		}
	}
}

/* ---- bytes ---- */

static struct nvc_slice fill_random(uint32_t seed, size_t len, uint8_t room[WALK_MAX_BYTES])
{
	uint64_t state = seed;

	if (len > WALK_MAX_BYTES)
		len = WALK_MAX_BYTES;
	for (size_t i = 0; i < len; i++)
		room[i] = (uint8_t)next(&state);
	return nvc_slice_of(room, len);
}

struct nvc_slice walk_message(
	uint32_t seed, size_t len, uint16_t t_id, uint8_t room[WALK_MAX_BYTES])
{
	struct nvc_slice message = fill_random(seed, len, room);

	if (message.len >= 6) {
		room[0] = NVC_MSG_REPLY >> 8;
		room[1] = NVC_MSG_REPLY & 0xff;
		nvc_put_le(room + 4, t_id, 2);
	}
	return message;
}

struct nvc_slice walk_pdu(uint32_t seed, size_t len, uint32_t plen, uint8_t room[WALK_MAX_BYTES])
{
	static const uint8_t types[] = {NVC_PDU_IC_REQ, NVC_PDU_H2C_TERM_REQ, NVC_PDU_CAPSULE_CMD,
		NVC_PDU_CAPSULE_CMD, NVC_PDU_H2C_DATA, NVC_PDU_H2C_DATA, NVC_PDU_C2H_DATA, 0x0b};
	static const uint8_t harmless[] = {NVC_OPC_FABRICS, NVC_OPC_FABRICS, NVC_ADMIN_IDENTIFY,
		NVC_ADMIN_KEEP_ALIVE, NVC_IO_READ};
	struct nvc_slice bytes = fill_random(seed, len, room);
	uint64_t state = ~(uint64_t)seed;
	uint8_t type = ONE_OF(&state, types);
	const struct nvc_layout *layout = nvc_pdu_layout(type);

	if (bytes.len < NVC_PDU_CH_LEN)
		return bytes;
	room[0] = type;
	room[1] = one_in(&state, 2) ? 0 : room[1];
	if (layout && !one_in(&state, 4))
		room[2] = (uint8_t)layout->fixed_len;
	room[3] = one_in(&state, 2) ? 0 : room[2];
	nvc_put_le(room + 4, plen, 4);
	/* A namespace is never written, and no PDU begins where another is looked for: the opcode is no H2C type but TermReq. */
	if (bytes.len > NVC_PDU_CH_LEN)
		room[NVC_PDU_CH_LEN] = ONE_OF(&state, harmless);
	return bytes;
}

/* ---- shrinking ---- */

size_t walk_shrink(struct walk_step *steps, size_t num, unsigned int max_replays,
	bool (*fails)(void *self, const struct walk_step *steps, size_t num), void *self)
{
	struct walk_step rest[WALK_STEPS];
	size_t chunk = num / 2;

	if (num > WALK_STEPS)
		return num;
	while (chunk && max_replays) {
		bool shorter = false;

		for (size_t at = 0; at < num && num > 1 && max_replays; max_replays--) {
			size_t gone = at + chunk < num ? chunk : num - at;

			memcpy(rest, steps, at * sizeof(*steps));
			memcpy(rest + at, steps + at + gone, (num - at - gone) * sizeof(*steps));
			if (fails(self, rest, num - gone)) {
				num -= gone;
				memcpy(steps, rest, num * sizeof(*steps));
				shorter = true;
			} else {
				at += gone;
			}
		}
		/* With single steps, once more until nothing can go: a step may have been needed by one that went later. */
		if (chunk > 1 || !shorter)
			chunk /= 2;
	}
	return num;
}
