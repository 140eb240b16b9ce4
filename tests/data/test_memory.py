import threading
import time
from concurrent.futures import ThreadPoolExecutor

from kattn.data.memory import DecodingRoom, keep_decoded, machine_memory


def test_pictures_are_decoded_side_by_side_only_as_far_as_they_fit_and_large_ones_by_one_thread():
    room, inside, most, large = DecodingRoom(100), [], [], set()
    lock = threading.Lock()

    def decode(pixels):
        def work():
            with lock:
                inside.append(pixels)
                most.append(list(inside))
                if pixels > 100 / 8:
                    large.add(threading.get_ident())
            time.sleep(0.01)
            with lock:
                inside.remove(pixels)
            return pixels

        return room.run(pixels, work)

    wanted = [12, 12, 60, 12, 500, 95, 12, 0.01, 12, 12, 12, 12]
    with ThreadPoolExecutor(12) as pool:
        assert list(pool.map(decode, wanted)) == wanted
    assert all(sum(together) < 101 or {500} <= set(together) <= {500, 0.01} for together in most)
    assert any(len(together) > 1 for together in most)
    assert len(large) == 1


def test_images_are_kept_where_they_take_at_most_a_quarter_of_the_memory():
    shape = (1024, 1024, 1)
    many = machine_memory() // 4 // 2**20
    assert keep_decoded(None, many, shape) and not keep_decoded(None, many + 1, shape)
    assert keep_decoded(None, 10**9, None)
    assert keep_decoded(True, 10**9, shape) and not keep_decoded(False, 1, shape)
