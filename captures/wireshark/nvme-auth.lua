-- SPDX-License-Identifier: BSD-3-Clause
--
-- In-band authentication of NVMe/TCP (Base 2.2, 8.3.4) for Wireshark, and the glue that Wireshark 4.0 needs to look for
-- NVMe/TCP inside TLS. Use it with `tshark -X lua_script:nvme-auth.lua`, or put it into the personal plugins folder.
--
-- Wireshark's own dissector nvme-tcp takes PDUs apart and stays in charge of them; this adds the messages that it shows as
-- data, found by the commands that carry them.

local auth = Proto("nvme-auth", "NVMe In-band Authentication")

local PORTS = { 4420, 8009 }

local MESSAGES = {
    [0x0000] = "AUTH_Negotiate",
    [0x00f0] = "AUTH_Failure2",
    [0x00f1] = "AUTH_Failure1",
    [0x0101] = "DH-HMAC-CHAP_Challenge",
    [0x0102] = "DH-HMAC-CHAP_Reply",
    [0x0103] = "DH-HMAC-CHAP_Success1",
    [0x0104] = "DH-HMAC-CHAP_Success2",
}
local FROM_HOST = { [0x0000] = true, [0x00f0] = true, [0x0102] = true, [0x0104] = true }
local SC_C = { [0] = "NOSC", [2] = "NEWTLSPSK", [3] = "REPLACETLSPSK" }
local HASHES = { [1] = "SHA-256", [2] = "SHA-384", [3] = "SHA-512" }
local HASH_LEN = { [1] = 32, [2] = 48, [3] = 64 }
local GROUPS = { [0] = "NULL", [1] = "ffdhe2048", [2] = "ffdhe3072", [3] = "ffdhe4096", [4] = "ffdhe6144", [5] = "ffdhe8192" }
local GROUP_LEN = { [0] = 0, [1] = 256, [2] = 384, [3] = 512, [4] = 768, [5] = 1024 }
local RCODE = { [1] = "authentication failure" }
local RCODEEX = {
    [1] = "authentication failed",
    [2] = "authentication protocol not usable",
    [3] = "secure channel concatenation mismatch",
    [4] = "hash function not usable",
    [5] = "DH group not usable",
    [6] = "incorrect payload",
    [7] = "incorrect protocol message",
}

local f = {
    message = ProtoField.uint16("nvme-auth.message", "Message", base.HEX, MESSAGES),
    auth_type = ProtoField.uint8("nvme-auth.auth_type", "AUTH_TYPE", base.HEX, { [0] = "common", [1] = "DH-HMAC-CHAP" }),
    auth_id = ProtoField.uint8("nvme-auth.auth_id", "AUTH_ID", base.HEX),
    t_id = ProtoField.uint16("nvme-auth.t_id", "T_ID", base.DEC),
    sc_c = ProtoField.uint8("nvme-auth.sc_c", "SC_C", base.DEC, SC_C),
    napd = ProtoField.uint8("nvme-auth.napd", "NAPD", base.DEC),
    descriptor = ProtoField.bytes("nvme-auth.descriptor", "Protocol descriptor"),
    authid = ProtoField.uint8("nvme-auth.descriptor.authid", "AuthID", base.HEX, { [1] = "DH-HMAC-CHAP" }),
    halen = ProtoField.uint8("nvme-auth.descriptor.halen", "HALEN", base.DEC),
    dhlen = ProtoField.uint8("nvme-auth.descriptor.dhlen", "DHLEN", base.DEC),
    offered_hash = ProtoField.uint8("nvme-auth.descriptor.hash_id", "Hash offered", base.DEC, HASHES),
    offered_group = ProtoField.uint8("nvme-auth.descriptor.dhgid", "Group offered", base.DEC, GROUPS),
    rcode = ProtoField.uint8("nvme-auth.rcode", "RCODE", base.DEC, RCODE),
    rcodeex = ProtoField.uint8("nvme-auth.rcodeex", "RCODEEX", base.DEC, RCODEEX),
    hl = ProtoField.uint8("nvme-auth.hl", "HL", base.DEC),
    hash_id = ProtoField.uint8("nvme-auth.hash_id", "HashID", base.DEC, HASHES),
    dhgid = ProtoField.uint8("nvme-auth.dhgid", "DHgID", base.DEC, GROUPS),
    dhvlen = ProtoField.uint16("nvme-auth.dhvlen", "DHVLEN", base.DEC),
    s1 = ProtoField.uint32("nvme-auth.s1", "SEQNUM (S1)", base.DEC),
    s2 = ProtoField.uint32("nvme-auth.s2", "SEQNUM (S2)", base.DEC),
    cvalid = ProtoField.uint8("nvme-auth.cvalid", "CVALID", base.DEC),
    rvalid = ProtoField.uint8("nvme-auth.rvalid", "RVALID", base.DEC),
    c1 = ProtoField.bytes("nvme-auth.c1", "C1"),
    c2 = ProtoField.bytes("nvme-auth.c2", "C2"),
    r1 = ProtoField.bytes("nvme-auth.r1", "R1"),
    r2 = ProtoField.bytes("nvme-auth.r2", "R2"),
    dhval = ProtoField.bytes("nvme-auth.dhval", "DH value"),
    reserved = ProtoField.bytes("nvme-auth.reserved", "Reserved"),
}
auth.fields = f

local e = {
    truncated = ProtoExpert.new("nvme-auth.truncated", "The message is shorter than its fields say", expert.group.MALFORMED, expert.severity.ERROR),
    unknown = ProtoExpert.new("nvme-auth.unknown", "Not a message of Base 2.2", expert.group.PROTOCOL, expert.severity.ERROR),
    direction = ProtoExpert.new("nvme-auth.direction", "A message of the other side", expert.group.PROTOCOL, expert.severity.ERROR),
    reserved_set = ProtoExpert.new("nvme-auth.reserved.set", "A reserved field is not zero", expert.group.PROTOCOL, expert.severity.WARN),
    value = ProtoExpert.new("nvme-auth.value", "A value that is reserved or not permitted here", expert.group.PROTOCOL, expert.severity.ERROR),
    length = ProtoExpert.new("nvme-auth.length", "A length that does not fit the hash or the group", expert.group.PROTOCOL, expert.severity.ERROR),
    failure = ProtoExpert.new("nvme-auth.failure", "Authentication failed", expert.group.RESPONSE_CODE, expert.severity.NOTE),
    order = ProtoExpert.new("nvme-auth.order", "A message that is not due here", expert.group.SEQUENCE, expert.severity.ERROR),
    t_id_other = ProtoExpert.new("nvme-auth.t_id.other", "Not the T_ID of the transaction", expert.group.SEQUENCE, expert.severity.ERROR),
    choice = ProtoExpert.new("nvme-auth.choice", "What the host did not offer", expert.group.PROTOCOL, expert.severity.ERROR),
    concat = ProtoExpert.new("nvme-auth.concat", "A secure channel concatenation that is not possible here, or was refused though it is",
        expert.group.PROTOCOL, expert.severity.ERROR),
    repeated = ProtoExpert.new("nvme-auth.repeated", "A value that must not come twice", expert.group.SECURITY, expert.severity.ERROR),
    mirrored = ProtoExpert.new("nvme-auth.mirrored", "C2 is the C1 of the Challenge", expert.group.SECURITY, expert.severity.ERROR),
    tail = ProtoExpert.new("nvme-auth.tail", "Bytes behind the message are not zero", expert.group.PROTOCOL, expert.severity.WARN),
}
auth.experts = e

local field_type = Field.new("nvme-tcp.type")
local field_stream = Field.new("tcp.stream")
local field_record = Field.new("tls.record.content_type")

-- A message under way: `at` is the next byte, `left` how many there are.
local function take(m, len, field)
    if m.short or m.left < len then
        if not m.short then
            m.tree:add_proto_expert_info(e.truncated)
        end
        m.short = true
        return nil
    end
    local range = len > 0 and m.tvb:range(m.at, len) or nil
    m.at = m.at + len
    m.left = m.left - len
    if range and field then
        return range, m.tree:add_le(field, range)
    end
    return range, nil
end

local function is_zero(range)
    local bytes = range:bytes()
    for i = 0, bytes:len() - 1 do
        if bytes:get_index(i) ~= 0 then
            return false
        end
    end
    return true
end

local function number(m, len, field)
    local range, item = take(m, len, field)
    return range and range:le_uint() or nil, item
end

local function bytes(m, len, field)
    local range = take(m, len)
    local item = range and m.tree:add(field, range) or nil
    return range, item
end

local function reserved(m, len)
    local range, item = bytes(m, len, f.reserved)
    if range and not is_zero(range) then
        item:add_proto_expert_info(e.reserved_set)
    end
end

-- Adds `info` when `bad` and the field was there.
local function complain(bad, item, info, text)
    if bad and item then
        item:add_proto_expert_info(info, text)
    end
end

local function descriptor(m, hashes, groups)
    local range = m.left >= 64 and m.tvb:range(m.at, 64) or nil
    if not range then
        take(m, 64)
        return
    end
    local outer = m.tree
    m.tree = outer:add(f.descriptor, range)
    local authid, authid_item = number(m, 1, f.authid)
    complain(authid ~= 1, authid_item, e.value, "AuthID is not DH-HMAC-CHAP")
    reserved(m, 1)
    local halen, halen_item = number(m, 1, f.halen)
    local dhlen, dhlen_item = number(m, 1, f.dhlen)
    complain(halen < 1 or halen > 30, halen_item, e.value, "HALEN is not 1 to 30")
    complain(dhlen < 1 or dhlen > 30, dhlen_item, e.value, "DHLEN is not 1 to 30")
    for list, count in ipairs({ halen, dhlen }) do
        local known = math.min(count, 30)
        for _ = 1, known do
            local id = number(m, 1, list == 1 and f.offered_hash or f.offered_group)
            if id and authid == 1 then
                (list == 1 and hashes or groups)[id] = true
            end
        end
        if known < 30 then
            reserved(m, 30 - known)
        end
    end
    m.tree = outer
end

-- ---- the transaction: what the observer of nvme-conform judges, as far as it shows in the messages ----
-- It is followed once, in the order of the packets; what there is to say is kept for when they are shown again.

local queues, said, challenges = {}, {}, {}

local function queue_of(stream)
    queues[stream] = queues[stream] or { state = "idle", qid = 0, pair = stream, replaced = false }
    return queues[stream]
end

-- Says that the message breaks `info`, unless the messages were followed already.
local function find_fault(m, info, text)
    if not m.visited then
        m.said[#m.said + 1] = { info = info, text = text }
    end
end

local function follow_t_id(m, q)
    if q.t_id and q.state ~= "idle" and m.t_id ~= q.t_id then
        find_fault(m, e.t_id_other, string.format("T_ID %d, and %d in AUTH_Negotiate", m.t_id, q.t_id))
    end
end

local function follow_negotiate(m, q, sc_c, hashes, groups)
    q.t_id, q.sc_c, q.hashes, q.groups, q.twice = m.t_id, sc_c, hashes, groups, q.state == "negotiated"
    q.state, q.hash, q.group = "negotiated", nil, nil
end

-- What SC_C allows on this queue (Base 2.2, 8.3.4.2): a Challenge says that the controller takes it.
local function follow_sc_c(m, q)
    local place = (q.qid ~= 0 and "an I/O queue" or "the admin queue") .. (m.tls and " over TLS" or " without TLS")
    if q.sc_c == 0 then
        return
    elseif not SC_C[q.sc_c] or q.qid ~= 0 or (q.sc_c == 2) == m.tls then
        find_fault(m, e.concat, string.format("SC_C %d (%s) is taken on %s", q.sc_c, SC_C[q.sc_c] or "reserved", place))
    elseif q.groups[0] then
        find_fault(m, e.concat, "a concatenation is taken with the NULL group offered")
    end
end

local function follow_challenge(m, q, hash, group, s1, c1)
    if q.state ~= "negotiated" then
        find_fault(m, e.order, "Challenge without AUTH_Negotiate before it")
    elseif q.hashes and q.sc_c then
        follow_t_id(m, q)
        follow_sc_c(m, q)
        if not q.hashes[hash] or not q.groups[group] then
            find_fault(m, e.choice, string.format("HashID %d with DHgID %d is not among what the host offered", hash, group))
        end
    end
    local seen = c1 and challenges["c1 " .. tostring(c1:bytes())]
    if seen then
        find_fault(m, e.repeated, "the C1 of frame " .. seen)
    end
    local pair = "s1 " .. s1 .. " " .. q.pair
    if s1 ~= 0 and challenges[pair] then
        find_fault(m, e.repeated, "the S1 of frame " .. challenges[pair])
    end
    if not m.visited then
        challenges[pair] = m.frame
        if c1 then
            challenges["c1 " .. tostring(c1:bytes())] = m.frame
        end
        q.state, q.hash, q.group, q.c1 = "challenged", hash, group, c1 and tostring(c1:bytes())
    end
end

local function follow_reply(m, q, hl, dhvlen, cvalid, s2, c2)
    if q.state ~= "challenged" then
        find_fault(m, e.order, "Reply without Challenge before it")
    else
        follow_t_id(m, q)
        if HASH_LEN[q.hash] ~= hl then
            find_fault(m, e.length, string.format("HL %d with HashID %d", hl, q.hash))
        end
        if GROUP_LEN[q.group] ~= dhvlen then
            find_fault(m, e.length, string.format("DHVLEN %d with DHgID %d", dhvlen, q.group))
        end
        -- A host that sends back what it got lets the controller answer with R1 (Base 2.2, 8.3.4.5.4).
        if cvalid == 1 and s2 ~= 0 and c2 and tostring(c2:bytes()) == q.c1 then
            find_fault(m, e.mirrored, "C2 is the C1 of the Challenge")
        end
    end
    q.cvalid, q.s2, q.state = cvalid, s2, "replied"
end

local function follow_success1(m, q, hl, rvalid)
    if q.state ~= "replied" then
        find_fault(m, e.order, "Success1 without Reply before it")
    else
        follow_t_id(m, q)
        if q.hash and HASH_LEN[q.hash] ~= hl then
            find_fault(m, e.length, string.format("HL %d with HashID %d", hl, q.hash))
        end
        local wanted = q.cvalid == 1 and q.s2 ~= 0 and 1 or 0
        if q.cvalid <= 1 and rvalid ~= wanted then
            find_fault(m, e.value, string.format("RVALID %d after CVALID %d and S2 %d", rvalid, q.cvalid, q.s2))
        end
    end
    q.replaced = q.replaced or (m.tls and q.sc_c == 3)
    q.state = q.cvalid == 1 and q.s2 ~= 0 and "success2" or "idle"
end

local function follow_success2(m, q)
    if q.state ~= "success2" then
        find_fault(m, e.order, "Success2, and the controller did not authenticate")
    end
    q.state = "idle"
end

-- AUTH_Failure1 is in order at any time. Refusing what was taken on this queue before is the best known bug of a target.
local function follow_failure(m, q, id, rcodeex)
    if id == 0x00f1 then
        follow_t_id(m, q)
        if rcodeex == 3 and q.state == "negotiated" and q.sc_c == 3 and q.replaced then
            find_fault(m, e.concat, "REPLACETLSPSK is refused, though it succeeded on this queue before")
        end
    end
    q.state = "idle"
end

-- Calls `follow` once for each message, when all that it is asked about is known.
local function follow(m, how, ...)
    if m.short or m.visited then
        return
    end
    how(m, queue_of(m.stream), ...)
end

local function negotiate(m)
    local sc_c, item = number(m, 1, f.sc_c)
    complain(sc_c and not SC_C[sc_c], item, e.value, "SC_C is reserved")
    local napd, napd_item = number(m, 1, f.napd)
    complain(napd == 0, napd_item, e.value, "NAPD is 0")
    local hashes, groups = {}, {}
    for _ = 1, napd or 0 do
        if m.short then
            break
        end
        descriptor(m, hashes, groups)
    end
    follow(m, follow_negotiate, sc_c, hashes, groups)
end

local function failure(m, id)
    local _, rcode_item = number(m, 1, f.rcode)
    local rcodeex, item = number(m, 1, f.rcodeex)
    complain(rcode_item and rcode_item.text and not rcode_item.text:find("authentication failure"), rcode_item, e.value, "RCODE is reserved")
    complain(rcodeex and not RCODEEX[rcodeex], item, e.value, "RCODEEX is reserved")
    complain(rcodeex and RCODEEX[rcodeex], item, e.failure, rcodeex and RCODEEX[rcodeex])
    follow(m, follow_failure, id, rcodeex)
    m.info = rcodeex and (RCODEEX[rcodeex] or string.format("RCODEEX %02xh", rcodeex)) or nil
end

local function check_hl(hl, item, hash)
    complain(hl and hash and HASH_LEN[hash] ~= hl or hl and hl ~= 32 and hl ~= 48 and hl ~= 64, item, e.length,
        "HL does not fit the hash")
end

local function challenge(m)
    local hl, hl_item = number(m, 1, f.hl)
    reserved(m, 1)
    local hash, hash_item = number(m, 1, f.hash_id)
    local group, group_item = number(m, 1, f.dhgid)
    local dhvlen, dhvlen_item = number(m, 2, f.dhvlen)
    local s1, s1_item = number(m, 4, f.s1)
    check_hl(hl, hl_item, hash)
    complain(hash and not HASHES[hash], hash_item, e.value, "HashID is not one of Base 2.2")
    complain(group and not GROUPS[group], group_item, e.value, "DHgID is not one of Base 2.2")
    complain(group and GROUP_LEN[group] and GROUP_LEN[group] ~= dhvlen, dhvlen_item, e.length, "DHVLEN does not fit the group")
    complain(s1 == 0, s1_item, e.value, "S1 is 0")
    local c1 = bytes(m, hl or 0, f.c1)
    if dhvlen and dhvlen > 0 then
        bytes(m, dhvlen, f.dhval)
    end
    follow(m, follow_challenge, hash, group, s1, c1)
    m.info = hash and string.format("%s %s", HASHES[hash] or "?", group and GROUPS[group] or "?")
end

local function reply(m)
    local hl, hl_item = number(m, 1, f.hl)
    reserved(m, 1)
    local cvalid, cvalid_item = number(m, 1, f.cvalid)
    reserved(m, 1)
    local dhvlen = number(m, 2, f.dhvlen)
    local s2 = number(m, 4, f.s2)
    check_hl(hl, hl_item, nil)
    complain(cvalid and cvalid > 1, cvalid_item, e.value, "CVALID is neither 0 nor 1")
    bytes(m, hl or 0, f.r1)
    local c2, c2_item = bytes(m, hl or 0, f.c2)
    complain(cvalid == 0 and c2 and not is_zero(c2), c2_item, e.value, "C2 is not zero though CVALID is 0")
    if dhvlen and dhvlen > 0 then
        bytes(m, dhvlen, f.dhval)
    end
    follow(m, follow_reply, hl, dhvlen, cvalid, s2, c2)
end

local function success1(m)
    local hl, hl_item = number(m, 1, f.hl)
    reserved(m, 1)
    local rvalid, rvalid_item = number(m, 1, f.rvalid)
    reserved(m, 7)
    check_hl(hl, hl_item, nil)
    complain(rvalid and rvalid > 1, rvalid_item, e.value, "RVALID is neither 0 nor 1")
    local r2, r2_item = bytes(m, hl or 0, f.r2)
    complain(rvalid == 0 and r2 and not is_zero(r2), r2_item, e.value, "R2 is not zero though RVALID is 0")
    follow(m, follow_success1, hl, rvalid)
end

local function success2(m)
    reserved(m, 10)
    follow(m, follow_success2)
end

local BODIES = {
    [0x0000] = negotiate,
    [0x00f0] = failure,
    [0x00f1] = failure,
    [0x0101] = challenge,
    [0x0102] = reply,
    [0x0103] = success1,
    [0x0104] = success2,
}

-- Adds what following the messages had to say of this one; `said` is by frame, in the order of its messages.
local function say(m, pinfo)
    local of_frame = said[m.frame] or {}
    said[m.frame] = of_frame
    if not m.visited then
        of_frame[#of_frame + 1] = m.said
    end
    local number_in_frame = (pinfo.private["nvme-auth-message"] or 0) + 1
    pinfo.private["nvme-auth-message"] = number_in_frame
    for _, one in ipairs(of_frame[tonumber(number_in_frame)] or {}) do
        m.tree:add_proto_expert_info(one.info, one.text)
    end
end

-- Shows the message in `range`, sent by the host or by the controller.
local function show(range, from_host, pinfo, tree, stream)
    local m = { tvb = range:tvb(), at = 0, left = range:len(), frame = pinfo.number, stream = stream, visited = pinfo.visited,
        tls = field_record() ~= nil, said = {} }
    m.tree = tree:add(auth, range)
    if m.left < 2 then
        take(m, 2)
        return
    end
    local id = range(0, 1):uint() * 256 + range(1, 1):uint()
    local name = MESSAGES[id]
    m.tree:add(f.message, range(0, 2)):set_generated()
    number(m, 1, f.auth_type)
    number(m, 1, f.auth_id)
    if not name then
        m.tree:add_proto_expert_info(e.unknown)
        return
    end
    m.tree:append_text(": " .. name)
    if (FROM_HOST[id] or false) ~= from_host then
        m.tree:add_proto_expert_info(e.direction)
    end
    reserved(m, 2)
    m.t_id = number(m, 2, f.t_id)
    BODIES[id](m, id)
    say(m, pinfo)
    if m.left > 0 and not m.short and not is_zero(m.tvb:range(m.at, m.left)) then
        m.tree:add_proto_expert_info(e.tail)
    end
    pinfo.cols.info:append(" [" .. name .. (m.info and ": " .. m.info or "") .. "]")
end

-- Commands that carry messages: commands[stream][cid] lists the frames in which one was sent, and how.
local commands = {}

function auth.init()
    commands, queues, said, challenges = {}, {}, {}, {}
end

-- A Connect tells which queue this is, and of whom: S1 goes on from transaction to transaction of one pair.
local function take_connect(pdu, stream)
    local q = queue_of(stream)
    q.qid = pdu(50, 2):le_uint()
    if pdu:len() >= 72 + 1024 then
        q.pair = pdu(pdu:len() - 1024 + 256, 512):bytes():tohex()
    end
end

local function remember(stream, cid, frame, send)
    commands[stream] = commands[stream] or {}
    local list = commands[stream][cid] or {}
    commands[stream][cid] = list
    for _, known in ipairs(list) do
        if known.frame == frame and known.send == send then
            return
        end
    end
    list[#list + 1] = { frame = frame, send = send }
end

-- The last command with `cid` up to `frame`, when it carries messages; CIDs are used again.
local function recall(stream, cid, frame)
    local list = commands[stream] and commands[stream][cid] or {}
    for i = #list, 1, -1 do
        if list[i].frame <= frame then
            return list[i].send
        end
    end
    return nil
end

local function data_of(pdu)
    local pdo, plen, flags = pdu(3, 1):uint(), pdu(4, 4):le_uint(), pdu(1, 1):uint()
    local len = plen - pdo - (flags % 4 >= 2 and 4 or 0)
    if pdo < 24 or len < 1 or pdo + len > pdu:len() then
        return nil
    end
    return pdu(pdo, len)
end

local function pdu_shown(pdu, stream, pinfo, tree)
    local kind = pdu(0, 1):uint()
    if kind == 4 and pdu:len() >= 72 then
        local cid = pdu(10, 2):le_uint()
        local fctype = pdu(8, 1):uint() == 0x7f and pdu(12, 1):uint() or -1
        local send = nil
        if fctype == 5 then
            send = true
        elseif fctype == 6 then
            send = false
        end
        if fctype == 1 and not pinfo.visited then
            take_connect(pdu, stream)
        end
        if send == nil and not recall(stream, cid, pinfo.number) then
            return
        end
        remember(stream, cid, pinfo.number, send == nil and "none" or send)
        local data = send and data_of(pdu)
        if data then
            show(data, true, pinfo, tree, stream)
        end
    elseif (kind == 6 or kind == 7) and pdu:len() >= 24 then
        local send = recall(stream, pdu(8, 2):le_uint(), pinfo.number)
        local data = data_of(pdu)
        -- A message in several data PDUs is shown where the first one holds all of it.
        if data and pdu(12, 4):le_uint() == 0 and send == (kind == 6) then
            show(data, kind == 6, pinfo, tree, stream)
        end
    end
end

function auth.dissector(_, pinfo, tree)
    local stream = field_stream()
    if not stream then
        return
    end
    for _, kind in ipairs({ field_type() }) do
        local source, offset = kind.source, kind.offset
        if source and source:len() >= offset + 8 then
            local len = math.min(source:range(offset + 4, 4):le_uint(), source:len() - offset)
            if len >= 8 then
                pdu_shown(source:range(offset, len), stream.value, pinfo, tree)
            end
        end
    end
end

register_postdissector(auth)

-- ---- where NVMe/TCP is: other ports, and TLS ----
-- Wireshark 4.0 knows nvme-tcp on TCP ports only, and takes what is TLS there for broken PDUs. Newer ones know it for TLS too, and still
-- do not look whether a connection is.

local tls_ports, tcp_ports = DissectorTable.get("tls.port"), DissectorTable.get("tcp.port")
local nvme_tcp, tls = Dissector.get("nvme-tcp"), Dissector.get("tls")
local door = Proto("nvme-tcp-door", "NVMe/TCP in clear or over TLS")
local over_tls = {}

function door.init()
    over_tls = {}
end

-- ICReq has one beginning: type 0, no flags, HLEN and PLEN 128.
local function is_icreq(tvb)
    return tvb:len() >= 8 and tvb(0, 8):bytes():tohex() == "0000800080000000"
end

local function is_client_hello(tvb)
    return tvb:len() >= 6 and tvb(0, 1):uint() == 22 and tvb(1, 1):uint() == 3 and tvb(5, 1):uint() == 1
end

-- The first byte of a stream decides: a TLS handshake record begins with 16h, ICReq with 00h.
function door.dissector(tvb, pinfo, tree)
    local stream = field_stream()
    local key = stream and stream.value or -1
    if over_tls[key] == nil then
        over_tls[key] = tvb:len() >= 2 and tvb(0, 1):uint() == 22 and tvb(1, 1):uint() == 3
    end
    -- TCP lets its own dissector put segments together and not the next one: this is nothing in between.
    pinfo.can_desegment = 2
    return (over_tls[key] and tls or nvme_tcp):call(tvb, pinfo, tree)
end

-- On any other port the first bytes of the host tell: ICReq, or a ClientHello that offers a PSK of NVMe/TCP.
local function find_nvme(tvb, pinfo, tree)
    local hello = is_client_hello(tvb) and tvb():raw():find("NVMe[01][RG]0[12] nqn%.")
    if not hello and not is_icreq(tvb) then
        return false
    end
    if hello and not tls_ports:get_dissector(pinfo.dst_port) then
        tls_ports:add(pinfo.dst_port, nvme_tcp)
    end
    pinfo.conversation = door
    door.dissector(tvb, pinfo, tree)
    return true
end

-- Inside TLS others look at the first bytes too, and Wireshark 4.4 asks them before it looks at the port: SMPP takes ICReq for its own.
local function find_nvme_in_tls(tvb, pinfo, tree)
    if not is_icreq(tvb) then
        return false
    end
    nvme_tcp:call(tvb, pinfo, tree)
    return true
end

door:register_heuristic("tcp", find_nvme)
door:register_heuristic("tls", find_nvme_in_tls)

for _, port in ipairs(PORTS) do
    tcp_ports:add(port, door)
    if not tls_ports:get_dissector(port) then
        tls_ports:add(port, nvme_tcp)
    end
end
