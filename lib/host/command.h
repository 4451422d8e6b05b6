/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Commands one sends every day, in one call each. All of them return NVC_OK when the command was answered, with whatever status: `done` (may be NULL)
 * holds it. Data in `done` is valid until the next command on the queue. Other errors are those of nvc_queue_wait.
 */
#ifndef NVC_HOST_COMMAND_H
#define NVC_HOST_COMMAND_H

#include "host/queue.h"

/* nvc_do_property_get reads a property (NVC_PROP_*); 8 bytes for CAP, else 4. The value is done->cqe.result. */
enum nvc_result nvc_do_property_get(
	struct nvc_queue *queue, uint32_t ofst, struct nvc_completion *done, struct nvc_error *err);
/* nvc_do_property_set writes a 4-byte property. */
enum nvc_result nvc_do_property_set(struct nvc_queue *queue, uint32_t ofst, uint64_t value,
	struct nvc_completion *done, struct nvc_error *err);
/* nvc_do_identify asks for 4096 bytes of Identify data; `cns` as NVC_CNS_*. */
enum nvc_result nvc_do_identify(struct nvc_queue *queue, uint8_t cns, uint32_t nsid,
	struct nvc_completion *done, struct nvc_error *err);
enum nvc_result nvc_do_keep_alive(
	struct nvc_queue *queue, struct nvc_completion *done, struct nvc_error *err);
/* nvc_do_get_log_page reads `len` bytes (multiple of 4) of log page `lid` from `offset`. */
enum nvc_result nvc_do_get_log_page(struct nvc_queue *queue, uint8_t lid, uint64_t offset,
	size_t len, struct nvc_completion *done, struct nvc_error *err);
/* nvc_do_set_num_queues asks for `num` I/O queues in each direction (Set Features 07h). */
enum nvc_result nvc_do_set_num_queues(
	struct nvc_queue *queue, uint16_t num, struct nvc_completion *done, struct nvc_error *err);
enum nvc_result nvc_do_flush(
	struct nvc_queue *queue, uint32_t nsid, struct nvc_completion *done, struct nvc_error *err);
/* nvc_do_read reads one block of `block_len` bytes (512 or 4096) at `lba`. */
enum nvc_result nvc_do_read(struct nvc_queue *queue, uint32_t nsid, uint64_t lba, size_t block_len,
	struct nvc_completion *done, struct nvc_error *err);
/* nvc_do_write writes one block. It changes the namespace: nothing but a case that was asked to may call it. `r2t` sends the data
 * by H2CData instead of in the capsule. */
enum nvc_result nvc_do_write(struct nvc_queue *queue, uint32_t nsid, uint64_t lba,
	struct nvc_slice block, bool r2t, struct nvc_completion *done, struct nvc_error *err);
/* nvc_do_disconnect sends Disconnect (I/O queues only by the specification). */
enum nvc_result nvc_do_disconnect(
	struct nvc_queue *queue, struct nvc_completion *done, struct nvc_error *err);

/* nvc_submit_property_get, ... send without waiting; see nvc_queue_wait. */
enum nvc_result nvc_submit_property_get(
	struct nvc_queue *queue, uint32_t ofst, uint16_t *tag, struct nvc_error *err);
enum nvc_result nvc_submit_identify(
	struct nvc_queue *queue, uint8_t cns, uint32_t nsid, uint16_t *tag, struct nvc_error *err);
/* nvc_submit_async_event sends an Asynchronous Event Request, which may never be answered. */
enum nvc_result nvc_submit_async_event(
	struct nvc_queue *queue, uint16_t *tag, struct nvc_error *err);

/* nvc_do_enable sets CC.EN and polls CSTS.RDY, at most for CAP.TO (or the queue's timeout, what is longer). NVC_OK: ready. NVC_E_REFUSED:
 * a property command was answered with an error status, or CSTS.CFS; NVC_E_TIMEOUT: never ready. */
enum nvc_result nvc_do_enable(struct nvc_queue *admin, struct nvc_error *err);
/* nvc_do_reset clears CC.EN and polls until CSTS.RDY is 0 (a controller reset; the connection stays). Errors as nvc_do_enable. */
enum nvc_result nvc_do_reset(struct nvc_queue *admin, struct nvc_error *err);

#endif
