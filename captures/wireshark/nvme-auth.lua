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
    tail = ProtoExpert.new("nvme-auth.tail", "Bytes behind the message are not zero", expert.group.PROTOCOL, expert.severity.WARN),
}
auth.experts = e

local field_type = Field.new("nvme-tcp.type")
local field_stream = Field.new("tcp.stream")

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

local function descriptor(m)
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
            number(m, 1, list == 1 and f.offered_hash or f.offered_group)
        end
        if known < 30 then
            reserved(m, 30 - known)
        end
    end
    m.tree = outer
end

local function negotiate(m)
    local sc_c, item = number(m, 1, f.sc_c)
    complain(sc_c and not SC_C[sc_c], item, e.value, "SC_C is reserved")
    local napd, napd_item = number(m, 1, f.napd)
    complain(napd == 0, napd_item, e.value, "NAPD is 0")
    for _ = 1, napd or 0 do
        if m.short then
            break
        end
        descriptor(m)
    end
end

local function failure(m)
    local _, rcode_item = number(m, 1, f.rcode)
    local rcodeex, item = number(m, 1, f.rcodeex)
    complain(rcode_item and rcode_item.text and not rcode_item.text:find("authentication failure"), rcode_item, e.value, "RCODE is reserved")
    complain(rcodeex and not RCODEEX[rcodeex], item, e.value, "RCODEEX is reserved")
    complain(rcodeex and RCODEEX[rcodeex], item, e.failure, rcodeex and RCODEEX[rcodeex])
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
    bytes(m, hl or 0, f.c1)
    if dhvlen and dhvlen > 0 then
        bytes(m, dhvlen, f.dhval)
    end
    m.info = hash and string.format("%s %s", HASHES[hash] or "?", group and GROUPS[group] or "?")
end

local function reply(m)
    local hl, hl_item = number(m, 1, f.hl)
    reserved(m, 1)
    local cvalid, cvalid_item = number(m, 1, f.cvalid)
    reserved(m, 1)
    local dhvlen = number(m, 2, f.dhvlen)
    number(m, 4, f.s2)
    check_hl(hl, hl_item, nil)
    complain(cvalid and cvalid > 1, cvalid_item, e.value, "CVALID is neither 0 nor 1")
    bytes(m, hl or 0, f.r1)
    local c2, c2_item = bytes(m, hl or 0, f.c2)
    complain(cvalid == 0 and c2 and not is_zero(c2), c2_item, e.value, "C2 is not zero though CVALID is 0")
    if dhvlen and dhvlen > 0 then
        bytes(m, dhvlen, f.dhval)
    end
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
end

local function success2(m)
    reserved(m, 10)
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

-- Shows the message in `range`, sent by the host or by the controller.
local function show(range, from_host, pinfo, tree)
    local m = { tvb = range:tvb(), at = 0, left = range:len() }
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
    number(m, 2, f.t_id)
    BODIES[id](m)
    if m.left > 0 and not m.short and not is_zero(m.tvb:range(m.at, m.left)) then
        m.tree:add_proto_expert_info(e.tail)
    end
    pinfo.cols.info:append(" [" .. name .. (m.info and ": " .. m.info or "") .. "]")
end

-- Commands that carry messages: commands[stream][cid] lists the frames in which one was sent, and how.
local commands = {}

function auth.init()
    commands = {}
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
        if send == nil and not recall(stream, cid, pinfo.number) then
            return
        end
        remember(stream, cid, pinfo.number, send == nil and "none" or send)
        local data = send and data_of(pdu)
        if data then
            show(data, true, pinfo, tree)
        end
    elseif (kind == 6 or kind == 7) and pdu:len() >= 24 then
        local send = recall(stream, pdu(8, 2):le_uint(), pinfo.number)
        local data = data_of(pdu)
        -- A message in several data PDUs is shown where the first one holds all of it.
        if data and pdu(12, 4):le_uint() == 0 and send == (kind == 6) then
            show(data, kind == 6, pinfo, tree)
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

-- ---- NVMe/TCP over TLS ----
-- Wireshark 4.0 knows nvme-tcp on TCP ports only. Newer ones register it for TLS themselves: then this steps aside.

local tls_ports = DissectorTable.get("tls.port")
local nvme_tcp = Dissector.get("nvme-tcp")

if not tls_ports:get_dissector(4420) then
    local tls = Dissector.get("tls")
    local door = Proto("nvme-tcp-door", "NVMe/TCP in clear or over TLS")
    local over_tls = {}

    function door.init()
        over_tls = {}
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

    for _, port in ipairs(PORTS) do
        tls_ports:add(port, nvme_tcp)
        DissectorTable.get("tcp.port"):add(port, door)
    end
end
