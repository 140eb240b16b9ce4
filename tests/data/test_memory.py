import threading
import time
from concurrent.futures import ThreadPoolExecutor

from kattn.data.memory import DecodingRoom, keep_decoded, machine_memory


def test_pictures_are_decoded_side_by_side_only_as_far_as_they_fit():
    room, inside, most = DecodingRoom(100), [], []
    lock = threading.Lock()

    def decode(pixels):
        with room.taken(pixels):
            with lock:
                inside.append(pixels)
                most.append(list(inside))
            time.sleep(0.01)
            with lock:
                inside.remove(pixels)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(decode, [60, 30, 60, 30, 500, 60, 30]))
    assert all(sum(together) <= 100 or together == [500] for together in most)
    assert any(len(together) > 1 for together in most)


def test_images_are_kept_where_they_take_at_most_a_quarter_of_the_memory():
    shape = (1024, 1024, 1)
    many = machine_memory() // 4 // 2**20
    assert keep_decoded(None, many, shape) and not keep_decoded(None, many + 1, shape)
    assert keep_decoded(None, 10**9, None)
    assert keep_decoded(True, 10**9, shape) and not keep_decoded(False, 1, shape)
