#!/usr/bin/env python3
"""A WebRTC peer of a muxi-api room, outside of browsers: joins, connects to all who are there, and chats over data channels.

    pip install aiortc httpx websockets
    MUXI_API_KEY=... python3 rtc_peer.py --url https://api.example.com --session rtc_... --user robot

Without --session it opens a room and prints its id. What comes in is a line on standard output: who, a tab, the text. Lines of
standard input go to all. What is no message (who comes and goes, states) is told on standard error. Python 3.10 or later.
"""
import argparse
import asyncio
import base64
import json
import os
import random
import sys
import uuid

import httpx
from aiortc import RTCConfiguration, RTCIceServer, RTCPeerConnection, RTCSessionDescription
from aiortc.contrib.media import MediaBlackhole
from aiortc.sdp import candidate_from_sdp
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

LONGEST_WAIT = 10
# A connection that has not come about by then has failed, whatever its state says.
CONNECT_SECONDS = 10
# From here on nobody comes back; 4409: the same participant listens elsewhere.
FINAL_CODES = range(4400, 4500)
FINAL_REASONS = ('taken_over', 'left', 'session_closed', 'unauthorized', 'forbidden', 'not_found')


def complain(text):
    print(text, file=sys.stderr, flush=True)


class Refused(Exception):
    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['message']}")
        self.code, self.details = error['code'], error.get('details') or {}


class Peer:
    """Another participant, and the connection to it."""

    def __init__(self, room, participant):
        self.room, self.participant = room, participant
        self.id, self.user = participant['participant_id'], participant['user_id']
        self.connection = self.channel = self.negotiation = self.deadline = None
        self.is_relayed = False
        self.waiting = []
        # What two signals ask for is done one after the other.
        self.turn = asyncio.Lock()

    @property
    def is_initiator(self):
        """Of two the one who joined later offers."""
        return self.room.order > self.participant['order']

    async def begin(self, ice_restart=False):
        """Connects anew. aiortc restarts no ICE: where that is asked for it makes another connection."""
        async with self.turn:
            await self.reset()
            if not self.is_initiator:
                return
            connection = self.make()
            self.attach(connection.createDataChannel('data'))
            # aiortc finds its candidates before it gives the description: there are none to send later.
            await connection.setLocalDescription(await connection.createOffer())
            self.negotiation = f'neg_{uuid.uuid4().hex[:12]}'
            self.watch()
            await self.room.signal('offer', to=self.id, description=self.description(), negotiation_id=self.negotiation, ice_restart=ice_restart)

    async def reset(self):
        if self.deadline is not None:
            self.deadline.cancel()
        connection, self.connection, self.channel, self.negotiation, self.is_relayed = self.connection, None, None, None, False
        if connection is not None:
            await connection.close()

    def make(self):
        servers = [RTCIceServer(**{name: server[name] for name in ('urls', 'username', 'credential') if name in server}) for server in self.room.ice_servers]
        self.connection = connection = RTCPeerConnection(RTCConfiguration(iceServers=servers))

        @connection.on('connectionstatechange')
        async def changed():
            if self.connection is connection and connection.connectionState != 'closed':
                if connection.connectionState == 'connected':
                    self.deadline.cancel()
                await self.report(connection.connectionState)

        @connection.on('datachannel')
        def opened(channel):
            if channel.protocol == '':
                self.attach(channel)

        @connection.on('track')
        async def received(track):
            complain(f'{track.kind} of {self.user}')
            # Nobody looks at it, but what is not read is kept.
            sink = MediaBlackhole()
            sink.addTrack(track)
            await sink.start()

        return connection

    def description(self):
        local = self.connection.localDescription
        return {'type': local.type, 'sdp': local.sdp}

    def attach(self, channel):
        self.channel = channel
        channel.on('message', lambda data: self.room.heard(self, data))
        channel.on('open', self.flush)
        # One that the other has made is open by now.
        if channel.readyState == 'open':
            self.flush()

    def flush(self):
        waiting, self.waiting = self.waiting, []
        for text in waiting:
            self.room.spawn(self.send(text))

    async def send(self, text):
        if self.channel is not None and self.channel.readyState == 'open':
            self.channel.send(text)
        elif self.is_relayed:
            await self.room.signal('data', to=self.id, data=text, encoding='text')
        else:
            self.waiting.append(text)

    async def take(self, signal):
        async with self.turn:
            if signal['type'] == 'offer':
                await self.on_offer(signal)
            elif signal['type'] == 'answer' and signal.get('negotiation_id') == self.negotiation and self.connection.signalingState == 'have-local-offer':
                await self.connection.setRemoteDescription(RTCSessionDescription(**signal['description']))
            elif signal['type'] == 'candidate' and self.connection is not None and self.connection.remoteDescription is not None:
                for candidate in signal.get('candidates', []):
                    await self.add(candidate)

    async def on_offer(self, signal):
        if self.connection is not None and self.connection.signalingState != 'stable':
            if not self.is_initiator:
                return
            # Whoever joined earlier is heard, and aiortc cannot take an offer back.
            await self.reset()
        if signal.get('ice_restart'):
            await self.reset()
        connection = self.connection or self.make()
        await connection.setRemoteDescription(RTCSessionDescription(**signal['description']))
        await connection.setLocalDescription(await connection.createAnswer())
        self.negotiation = signal['negotiation_id']
        self.watch()
        await self.room.signal('answer', to=self.id, description=self.description(), in_reply_to=signal['signal_id'])

    async def add(self, init):
        if init is None or init['candidate'] == '':
            return await self.connection.addIceCandidate(None)
        candidate = candidate_from_sdp(init['candidate'].removeprefix('candidate:'))
        candidate.sdpMid, candidate.sdpMLineIndex = init.get('sdpMid'), init.get('sdpMLineIndex')
        await self.connection.addIceCandidate(candidate)

    async def report(self, state):
        complain(f'{state} with {self.user}')
        await self.room.signal('state', to=self.id, connection_state=state, negotiation_id=self.negotiation)

    def watch(self):
        async def late():
            await asyncio.sleep(CONNECT_SECONDS)
            if self.connection is not None and self.connection.connectionState != 'connected':
                await self.report('failed')
        if self.deadline is not None:
            self.deadline.cancel()
        self.deadline = self.room.spawn(late())

    async def fall_back(self, step):
        if step == 'data_relay':
            self.is_relayed = True
            self.flush()
        elif self.is_initiator:
            await self.begin(ice_restart=True)


class Room:
    """A room as one of its participants, over one socket at a time."""

    def __init__(self, url, key, user, on_message):
        self.url, self.key, self.user, self.on_message = url.rstrip('/'), key, user, on_message
        self.peers, self.version, self.order = {}, 0, 0
        self.socket = self.last_event_id = None
        self.is_open = asyncio.Event()
        self.receipts, self.count, self.tasks = {}, 0, set()

    async def call(self, method, path, body=None, headers=None):
        async with httpx.AsyncClient(headers={'authorization': f'Bearer {self.key}', **(headers or {})}, timeout=20) as client:
            response = await client.request(method, f'{self.url}/api/v1{path}', json=body)
            if response.is_error:
                raise Refused(response.json()['error'])
            return response.json()

    async def enter(self, session=None, most=6):
        """Joins the room, or opens one."""
        body = {} if self.user is None else {'user_id': self.user}
        if session is None:
            joined = await self.call('POST', '/rtc/sessions', {**body, 'max_participants': most, 'media': {'audio': False, 'video': False, 'screen': False}})
        else:
            joined = await self.call('POST', f'/rtc/sessions/{session}/participants', body)
        self.session_id, self.id, self.token, self.ice_servers = (joined[name] for name in ('session_id', 'participant_id', 'participant_token', 'ice_servers'))
        self.take_roster(joined)

    async def leave(self):
        for peer in self.peers.values():
            await peer.reset()
        for task in list(self.tasks):
            task.cancel()
        await self.call('DELETE', f'/rtc/sessions/{self.session_id}/participants/{self.id}', headers={'x-participant-token': self.token})

    async def stay(self):
        """Listens until the room ends, coming back after every break; answers why it ended."""
        failures = 0
        while True:
            wait, reason = None, None
            try:
                url = f'{self.url}/api/v1/ws'.replace('http', 'ws', 1)
                async with connect(url, subprotocols=['muxi.v1', f'bearer.{self.key}'], compression=None) as self.socket:
                    where = {'session_id': self.session_id, 'participant_id': self.id, 'participant_token': self.token}
                    # With the last event we go on; without, the others are told that we begin anew.
                    if self.last_event_id is not None:
                        where['last_event_id'] = self.last_event_id
                    await self.write('rtc_subscribe', 'rtc', where)
                    async for text in self.socket:
                        frame = json.loads(text)
                        failures = 0
                        if frame['type'] == 'going_away':
                            wait = frame['data']['reconnect_after_ms'] / 1000
                        elif frame['type'] == 'rtc_end' or (frame['type'] == 'error' and frame.get('id') == 'rtc'):
                            reason = frame['data'].get('reason') or frame['data']['code']
                            break
                        else:
                            self.on_frame(frame)
            except ConnectionClosed as error:
                if error.rcvd is not None and error.rcvd.code in FINAL_CODES:
                    reason = error.rcvd.reason
                    return reason
            except InvalidHandshake as error:
                if getattr(getattr(error, 'response', None), 'status_code', 0) in (401, 403, 404):
                    return str(error)
                failures += 1
            except OSError:
                failures += 1
            self.is_open.clear()
            for receipt in self.receipts.values():
                receipt.cancel()
            self.receipts.clear()
            if reason in FINAL_REASONS:
                return reason
            complain('the connection broke')
            # Not all clients at once.
            await asyncio.sleep(random.uniform(0, min(LONGEST_WAIT, 0.5 * 2 ** failures)) if wait is None else wait)

    def on_frame(self, frame):
        kind, data = frame['type'], frame.get('data')
        self.last_event_id = frame.get('event_id', self.last_event_id)
        if kind == 'rtc_subscribed':
            self.is_open.set()
        elif kind in ('rtc_receipt', 'error') and frame.get('id') in self.receipts:
            receipt = self.receipts.pop(frame['id'])
            if not receipt.done():
                receipt.set_result(data) if kind == 'rtc_receipt' else receipt.set_exception(Refused(data))
        elif kind == 'rtc_signal' and data['from'] in self.peers:
            peer = self.peers[data['from']]
            if data['type'] == 'data':
                self.heard(peer, base64.b64decode(data['data']) if data.get('encoding') == 'base64' else data['data'])
            else:
                self.spawn(peer.take(data))
        elif kind == 'rtc_state':
            self.on_state(data)

    def on_state(self, state):
        if 'participants' in state:
            self.take_roster(state)
        self.ice_servers = state.get('ice_servers', self.ice_servers)
        kind, about = state['type'], state.get('participant_id')
        other = self.peers.get(state.get('to') if about == self.id else about)
        if kind == 'welcome':
            for peer in self.peers.values():
                if peer.connection is None:
                    self.spawn(peer.begin())
        elif kind == 'participant_restarted' and other is not None:
            self.spawn(other.begin())
        elif kind == 'fallback' and other is not None:
            complain(f"fallback with {other.user}: {state['step']}")
            self.spawn(other.fall_back(state['step']))
        elif kind.startswith('participant_'):
            complain(f"{kind.removeprefix('participant_')} {other.user if other is not None else about}")

    def take_roster(self, state):
        """The newest version holds, whatever comes after it."""
        if state['version'] < self.version:
            return
        self.version = state['version']
        there = {one['participant_id']: one for one in state['participants']}
        self.order = there[self.id]['order'] if self.id in there else self.order
        for gone in [id for id in self.peers if id not in there]:
            self.spawn(self.peers.pop(gone).reset())
        for id, participant in there.items():
            if id in self.peers:
                self.peers[id].participant = participant
            elif id != self.id:
                self.peers[id] = Peer(self, participant)

    async def signal(self, kind, **body):
        await self.is_open.wait()
        self.count += 1
        receipt = self.receipts[f's{self.count}'] = asyncio.get_running_loop().create_future()
        given = {name: value for name, value in body.items() if value is not None and value is not False}
        await self.write('rtc_signal', f's{self.count}', {'type': kind, 'session_id': self.session_id, 'participant_id': self.id, **given})
        try:
            return await receipt
        except Refused as error:
            # An offer of the other's holds, or what this was for is over.
            if error.code not in ('conflict', 'not_found'):
                raise
            complain(f'{kind}: {error}')

    async def write(self, kind, id, data):
        await self.socket.send(json.dumps({'type': kind, 'id': id, 'data': data}))

    async def say(self, text):
        for peer in list(self.peers.values()):
            await peer.send(text)

    def heard(self, peer, data):
        self.on_message(peer, data if isinstance(data, str) else f'{len(data)} bytes')

    def spawn(self, coroutine):
        task = asyncio.ensure_future(coroutine)
        self.tasks.add(task)

        def done(task):
            self.tasks.discard(task)
            if not task.cancelled() and task.exception() is not None:
                complain(f'{type(task.exception()).__name__}: {task.exception()}')
        task.add_done_callback(done)
        return task


async def main():
    parser = argparse.ArgumentParser(description='A WebRTC peer of a muxi-api room. The key is in MUXI_API_KEY.')
    parser.add_argument('--url', required=True, help='where the server is, such as https://api.example.com')
    parser.add_argument('--session', help='the room; without it one is opened')
    parser.add_argument('--user', help='as whom to join')
    parser.add_argument('--say', action='append', default=[], metavar='TEXT', help='send this to all who are there, once they are reached')
    parser.add_argument('--echo', action='store_true', help='send back what comes in')
    parser.add_argument('--messages', type=int, metavar='N', help='leave after so many messages')
    args = parser.parse_args()
    enough = asyncio.Event()
    count = 0

    def on_message(peer, text):
        nonlocal count
        print(peer.user, text, sep='\t', flush=True)
        if args.echo:
            room.spawn(peer.send(text))
        count += 1
        if count == args.messages:
            # What is on its way still goes out.
            asyncio.get_running_loop().call_later(0.5, enough.set)

    async def read():
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while line := await reader.readline():
            await room.say(line.decode().rstrip('\n'))

    room = Room(args.url, os.environ['MUXI_API_KEY'], args.user, on_message)
    try:
        await room.enter(args.session)
    except Refused as error:
        sys.exit(str(error))
    complain(f'in {room.session_id} as {room.id}')
    for text in args.say:
        await room.say(text)
    room.spawn(read())
    stays = asyncio.ensure_future(room.stay())
    await asyncio.wait([stays, asyncio.ensure_future(enough.wait())], return_when=asyncio.FIRST_COMPLETED)
    if stays.done():
        sys.exit(f'the room ended: {stays.result()}')
    await room.leave()


if __name__ == '__main__':
    try:
        asyncio.run(main())
    except KeyboardInterrupt:
        pass
