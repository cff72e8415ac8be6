// A browser's node, which a test tells whom to dial.
import { createLibp2p } from 'libp2p'
import { noise } from '@libp2p/noise'
import { yamux } from '@libp2p/yamux'
import { identify } from '@libp2p/identify'
import { ping } from '@libp2p/ping'
import { webSockets } from '@libp2p/websockets'
import { webRTCDirect } from '@libp2p/webrtc'
import { webTransport } from '@libp2p/webtransport'
import { multiaddr } from '@multiformats/multiaddr'

// dial connects over one address, pings the peer, and returns by which address it did.
window.dial = async (text) => {
  const node = await createLibp2p({
    transports: [webSockets(), webRTCDirect(), webTransport()],
    connectionEncrypters: [noise()],
    streamMuxers: [yamux()],
    services: { identify: identify(), ping: ping() },
    connectionGater: { denyDialMultiaddr: () => false } // loopback, too
  })
  try {
    const connection = await node.dial(multiaddr(text), { signal: AbortSignal.timeout(60_000) })
    await node.services.ping.ping(connection.remotePeer, { signal: AbortSignal.timeout(60_000) })
    return connection.remoteAddr.toString()
  } finally {
    await node.stop()
  }
}
